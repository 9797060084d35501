package order

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ordbench/ordbench/system/bus"
	"github.com/ordbench/ordbench/system/endpoint"
	"github.com/ordbench/ordbench/system/events"
	"github.com/ordbench/ordbench/system/telemetry"
)

// newAPI is the API over an empty book, with outbox and inbox unless off.
func newAPI(t testing.TB, adjust func(*Config)) (*api, http.Handler) {
	t.Helper()
	cfg := Config{Database: filepath.Join(t.TempDir(), "orders.db"), Outbox: true, Inbox: true, Idempotency: true}
	if adjust != nil {
		adjust(&cfg)
	}
	book, err := openBook(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := book.db.Close(); err != nil {
			t.Error(err)
		}
	})
	reg := prometheus.NewRegistry()
	a := &api{book: book, metrics: newMetrics(reg), log: slog.New(slog.DiscardHandler)}
	return a, a.handler(telemetry.NewRequests(reg))
}

func post(h http.Handler, key, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", "/orders", strings.NewReader(body))
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func get(h http.Handler, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w
}

// read decodes an answer's body.
func read[T any](t *testing.T, w *httptest.ResponseRecorder) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		t.Fatalf("answer %q: %v", w.Body, err)
	}
	return v
}

// count is what a query counts in the book.
func count(t *testing.T, a *api, q string) (n int) {
	t.Helper()
	if err := a.book.db.QueryRow(t.Context(), q).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

const anOrder = `{"user_id":"u123","total":99.95}`

func TestAnOrderIsAcceptedAndCanBeRead(t *testing.T) {
	a, h := newAPI(t, nil)
	w := post(h, "k1", anOrder)
	if w.Code != http.StatusAccepted {
		t.Fatalf("answer %d %s, want 202", w.Code, w.Body)
	}
	placed := read[accepted](t, w)
	if placed.Status != Pending || w.Header().Get("Location") != "/orders/"+placed.ID {
		t.Errorf("accepted %+v at %q", placed, w.Header().Get("Location"))
	}
	got := get(h, "/orders/"+placed.ID)
	if got.Code != http.StatusOK {
		t.Fatalf("answer %d %s, want 200", got.Code, got.Body)
	}
	v := read[view](t, got)
	if v.ID != placed.ID || v.UserID != "u123" || v.Total != 99_95 || v.Status != Pending || v.Version != 1 {
		t.Errorf("order %+v", v)
	}
	if string(v.Items) != `[{"sku":"sku-0001","quantity":1}]` {
		t.Errorf("items %s", v.Items)
	}
	pending, err := a.book.db.Pending(t.Context(), 10)
	if err != nil || len(pending) != 1 {
		t.Fatalf("outbox %v, %v; want one event", pending, err)
	}
	e, err := events.Decode(pending[0].Payload)
	if err != nil || e.OrderID != placed.ID || e.Type != events.OrderCreated || pending[0].Key != placed.ID || pending[0].Topic != events.OrdersTopic {
		t.Errorf("event %+v in %+v, %v", e, pending[0], err)
	}
}

func TestWhatIsNotAnOrderIsRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		method, path, key, body string
		status                  int
	}{
		"without a key":           {"POST", "/orders", "", anOrder, 400},
		"with an endless key":     {"POST", "/orders", strings.Repeat("k", 256), anOrder, 400},
		"with a key that is not":  {"POST", "/orders", "k\xff", anOrder, 400},
		"without a body":          {"POST", "/orders", "k", "", 400},
		"with a senseless body":   {"POST", "/orders", "k", `{"user_id":""}`, 400},
		"with an endless body":    {"POST", "/orders", "k", `{"user_id":"` + strings.Repeat("u", maxBody), 413},
		"an order that is not":    {"GET", "/orders/none", "", "", 404},
		"a path that is not":      {"GET", "/", "", "", 404},
		"everybody's orders":      {"GET", "/orders", "", "", 400},
		"a page without orders":   {"GET", "/orders?user_id=u&limit=0", "", "", 400},
		"a page too long":         {"GET", "/orders?user_id=u&limit=101", "", "", 400},
		"a cursor of one's own":   {"GET", "/orders?user_id=u&cursor=bm90IGFuIG9yZGVy", "", "", 400},
		"a change of all orders":  {"PUT", "/orders", "", "", 405},
		"an order taken away":     {"DELETE", "/orders/1", "", "", 405},
		"an order under an order": {"GET", "/orders/1/2", "", "", 404},
	} {
		t.Run(name, func(t *testing.T) {
			a, h := newAPI(t, nil)
			r := httptest.NewRequest(tc.method, tc.path, strings.NewReader(tc.body))
			r.Header.Set("Idempotency-Key", tc.key)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != tc.status || w.Header().Get("Content-Type") != "application/problem+json" {
				t.Fatalf("answer %d %s %s, want %d", w.Code, w.Header(), w.Body, tc.status)
			}
			p := read[endpoint.Problem](t, w)
			if p.Status != tc.status || p.Type == "" || p.Title == "" || p.Detail == "" && p.Errors == nil {
				t.Errorf("problem %+v says too little", p)
			}
			if n := count(t, a, `SELECT (SELECT count(*) FROM orders) + (SELECT count(*) FROM outbox)`); n != 0 {
				t.Errorf("%d rows written", n)
			}
		})
	}
}

func TestIdempotency(t *testing.T) {
	const itemised = `{"user_id":"u123","total":99.95,"items":[{"sku":"sku-0001","quantity":1}]}`
	for name, tc := range map[string]struct {
		key, body string
		status    int
		replayed  bool // the same answer as the first, which came under "k" for anOrder
		orders    int
	}{
		"the same request again":                  {"k", anOrder, 202, true, 1},
		"the same request written otherwise":      {"k", "{ \"total\" : 99.950, \"user_id\" : \"u123\" }\n", 202, true, 1},
		"the same request with its default spelt": {"k", itemised, 202, true, 1},
		"another key":                              {"k2", anOrder, 202, false, 2},
		"another total under the same key":         {"k", `{"user_id":"u123","total":99.96}`, 422, false, 1},
		"another customer under the same key":      {"k", `{"user_id":"u124","total":99.95}`, 422, false, 1},
		"another basket under the same key":        {"k", `{"user_id":"u123","total":99.95,"items":[{"sku":"sku-0002","quantity":1}]}`, 422, false, 1},
		"a request that is none under a known key": {"k", `{}`, 400, false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			a, h := newAPI(t, nil)
			first := post(h, "k", anOrder)
			w := post(h, tc.key, tc.body)
			if w.Code != tc.status {
				t.Fatalf("answer %d %s, want %d", w.Code, w.Body, tc.status)
			}
			same := w.Body.String() == first.Body.String() && w.Header().Get("Location") == first.Header().Get("Location")
			if same != tc.replayed || (w.Header().Get("Idempotency-Replayed") == "true") != tc.replayed {
				t.Errorf("answer %s %s after %s; replayed should be %t", w.Header(), w.Body, first.Body, tc.replayed)
			}
			if n := count(t, a, `SELECT count(*) FROM orders`); n != tc.orders {
				t.Errorf("%d orders, want %d", n, tc.orders)
			}
			if n := count(t, a, `SELECT count(*) FROM outbox`); n != tc.orders {
				t.Errorf("%d events, want %d", n, tc.orders)
			}
		})
	}
}

func TestAReplayAnswersAsAtFirstAfterTheOrderHasMoved(t *testing.T) {
	a, h := newAPI(t, nil)
	first := post(h, "k", anOrder)
	deliver(t, a, event(t, "e1", events.PaymentCaptured, read[accepted](t, first).ID))
	if again := post(h, "k", anOrder); again.Body.String() != first.Body.String() {
		t.Errorf("answer %s, at first it was %s", again.Body, first.Body)
	}
}

// deliver hands messages to the consumer of a, as one batch.
func deliver(t *testing.T, a *api, batch ...bus.Message) {
	t.Helper()
	l := &listener{book: a.book, metrics: a.metrics, log: a.log}
	if err := l.handle(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
}

func event(t *testing.T, id, kind, orderID string) bus.Message {
	t.Helper()
	e := events.Event{
		Type: kind, EventID: id, OrderID: orderID, Timestamp: events.At(time.Now()),
		Items: []events.Item{{SKU: "a", Quantity: 1}}, Reason: "a: 1 wanted, 0 available",
	}
	b, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return bus.Message{Topic: events.InventoryTopic, Key: orderID, Value: b}
}

func TestEventsMoveAnOrderOnceAndNeverBack(t *testing.T) {
	for name, inbox := range map[string]bool{"with the inbox": true, "without the inbox": false} {
		t.Run(name, func(t *testing.T) {
			a, h := newAPI(t, func(c *Config) { c.Inbox = inbox })
			id := read[accepted](t, post(h, "k", anOrder)).ID
			paid := event(t, "e1", events.PaymentCaptured, id)
			deliver(t, a, bus.Message{Value: []byte("not an event")}, paid, event(t, "e3", events.PaymentCaptured, "unknown"))
			deliver(t, a, paid)
			deliver(t, a, event(t, "e2", events.InventoryRejected, id))
			v := read[view](t, get(h, "/orders/"+id))
			if v.Status != Confirmed || v.Version != 2 || !v.UpdatedAt.After(v.CreatedAt) {
				t.Errorf("order %+v, want it CONFIRMED in version 2", v)
			}
		})
	}
}

func TestWithoutTheOutboxTheEventIsOnlyInMemory(t *testing.T) {
	a, h := newAPI(t, func(c *Config) { c.Outbox = false })
	dual := newDualWrite(nil, a.metrics.lost, a.log)
	a.publish = dual.send
	id := read[accepted](t, post(h, "k", anOrder)).ID
	post(h, "k", anOrder)
	if n := count(t, a, `SELECT count(*) FROM outbox`); n != 0 {
		t.Errorf("%d events in the outbox, want none", n)
	}
	if len(dual.queue) != 1 {
		t.Fatalf("%d events in memory, want the one of the order and none of its replay", len(dual.queue))
	}
	if m := <-dual.queue; m.Key != id {
		t.Errorf("event %+v is not of order %s", m, id)
	}
}

// BenchmarkPlace is the whole of POST /orders but the socket, with as many
// clients as keep the group commit busy.
func BenchmarkPlace(b *testing.B) {
	_, h := newAPI(b, nil)
	b.SetParallelism(64)
	b.ReportAllocs()
	var n atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			key := "key-" + strconv.FormatInt(n.Add(1), 10)
			if w := post(h, key, anOrder); w.Code != http.StatusAccepted {
				b.Errorf("answer %d %s", w.Code, w.Body)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "orders/s")
}

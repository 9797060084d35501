package inventory

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ordbench/ordbench/system/bus"
	"github.com/ordbench/ordbench/system/events"
	"github.com/ordbench/ordbench/system/telemetry"
)

// newClerk has 3 articles of 5 units each.
func newClerk(t testing.TB, inbox bool) *clerk {
	t.Helper()
	return newClerkOf(t, Config{Inbox: inbox, SKUs: 3, Stock: 5})
}

func newClerkOf(t testing.TB, cfg Config) *clerk {
	t.Helper()
	cfg.Database = filepath.Join(t.TempDir(), "inventory.db")
	s, err := openStock(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.db.Close(); err != nil {
			t.Error(err)
		}
	})
	return &clerk{stock: s, metrics: newMetrics(prometheus.NewRegistry()), log: slog.New(slog.DiscardHandler)}
}

func order(t testing.TB, id string, items ...events.Item) bus.Message {
	t.Helper()
	e := events.Event{
		Type: events.OrderCreated, EventID: "created-" + id, OrderID: id, UserID: "u", Total: 1_00,
		Timestamp: events.At(time.Now()), Items: items,
	}
	b, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return bus.Message{Topic: events.OrdersTopic, Key: id, Value: b}
}

// paid is what payment says of the order, "captured" or "declined".
func paid(t testing.TB, id, outcome string, items ...events.Item) bus.Message {
	t.Helper()
	e := events.Event{
		Type: "payment." + outcome, EventID: outcome + "-" + id, OrderID: id, UserID: "u", Total: 1_00,
		Timestamp: events.At(time.Now()), Items: items, Reason: "r",
	}
	b, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return bus.Message{Topic: events.PaymentTopic, Key: id, Value: b}
}

func units(n int, quantity int64) events.Item {
	return events.Item{SKU: events.SKU(n), Quantity: quantity}
}

// movements lists what was moved, "order kind sku quantity" each.
func (c *clerk) movements(t *testing.T) (all []string) {
	t.Helper()
	rows, err := c.stock.db.Query(t.Context(), `SELECT order_id, kind, sku, quantity FROM movements ORDER BY id`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, kind, sku string
		var quantity int64
		if err := rows.Scan(&id, &kind, &sku, &quantity); err != nil {
			t.Fatal(err)
		}
		all = append(all, fmt.Sprint(id, " ", kind, " ", sku, " ", quantity))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// answers lists what was promised, "type order" each.
func (c *clerk) answers(t *testing.T) (all []string) {
	t.Helper()
	pending, err := c.stock.db.Pending(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range pending {
		e, err := events.Decode(m.Payload)
		if err != nil || m.Topic != events.InventoryTopic || m.Key != e.OrderID {
			t.Errorf("outbox row %+v: %v", m, err)
		}
		all = append(all, e.Type+" "+e.OrderID)
	}
	return all
}

func TestABatchIsDecidedOrderByOrder(t *testing.T) {
	junk := bus.Message{Topic: events.OrdersTopic, Value: []byte("{")}
	for name, tc := range map[string]struct {
		inbox     bool
		batches   [][]bus.Message
		movements []string
		answers   []string
		left      []int64 // available, by article
	}{
		"stock goes to who comes first": {
			true,
			[][]bus.Message{{order(t, "a", units(1, 3)), order(t, "b", units(1, 3)), order(t, "c", units(1, 2))}},
			[]string{"a reserve sku-0001 3", "b reject sku-0001 0", "c reserve sku-0001 2"},
			[]string{"inventory.reserved a", "inventory.rejected b", "inventory.reserved c"},
			[]int64{0, 5, 5},
		},
		"all items or none": {
			true,
			[][]bus.Message{{order(t, "a", units(1, 1), units(2, 6), units(3, 1)), order(t, "b", units(1, 5), units(2, 5))}},
			[]string{"a reject sku-0002 0", "b reserve sku-0001 5", "b reserve sku-0002 5"},
			[]string{"inventory.rejected a", "inventory.reserved b"},
			[]int64{0, 0, 5},
		},
		"two lines of one article need their sum": {
			true,
			[][]bus.Message{{order(t, "a", units(1, 3), units(1, 3)), order(t, "b", units(1, 3), units(1, 2))}},
			[]string{"a reject sku-0001 0", "b reserve sku-0001 3", "b reserve sku-0001 2"},
			[]string{"inventory.rejected a", "inventory.reserved b"},
			[]int64{0, 5, 5},
		},
		"an article that is none": {
			true,
			[][]bus.Message{{order(t, "a", units(9, 1))}},
			[]string{"a reject sku-0009 0"},
			[]string{"inventory.rejected a"},
			[]int64{5, 5, 5},
		},
		"what cannot be read holds up nobody": {
			true,
			[][]bus.Message{{junk, order(t, "a", units(1, 1)), junk}, {junk}},
			[]string{"a reserve sku-0001 1"},
			[]string{"inventory.reserved a"},
			[]int64{4, 5, 5},
		},
		"what is paid for is sold, what is not goes back to whoever comes next": {
			true,
			[][]bus.Message{
				{order(t, "a", units(1, 3), units(2, 1)), order(t, "b", units(1, 2))},
				{paid(t, "a", "captured", units(1, 3), units(2, 1)), paid(t, "b", "declined", units(1, 2)), order(t, "c", units(1, 2))},
			},
			[]string{
				"a reserve sku-0001 3", "a reserve sku-0002 1", "b reserve sku-0001 2",
				"a sell sku-0001 3", "a sell sku-0002 1", "b release sku-0001 2", "c reserve sku-0001 2",
			},
			[]string{"inventory.reserved a", "inventory.reserved b", "inventory.reserved c"},
			[]int64{0, 4, 5},
		},
		"with the inbox a payment that comes again sells nothing more": {
			true,
			[][]bus.Message{{order(t, "a", units(1, 1))}, {paid(t, "a", "captured", units(1, 1))}, {paid(t, "a", "captured", units(1, 1))}},
			[]string{"a reserve sku-0001 1", "a sell sku-0001 1"},
			[]string{"inventory.reserved a"},
			[]int64{4, 5, 5},
		},
		"without the inbox a decline that comes again releases twice": {
			false,
			[][]bus.Message{{order(t, "a", units(1, 1))}, {paid(t, "a", "declined", units(1, 1))}, {paid(t, "a", "declined", units(1, 1))}},
			[]string{"a reserve sku-0001 1", "a release sku-0001 1", "a release sku-0001 1"},
			[]string{"inventory.reserved a"},
			[]int64{6, 5, 5},
		},
		"what is refunded comes back, for whoever comes next": {
			true,
			[][]bus.Message{
				{order(t, "a", units(1, 5))}, {paid(t, "a", "captured", units(1, 5))},
				{paid(t, "a", "refunded", units(1, 5)), order(t, "b", units(1, 4))}, {paid(t, "a", "refunded", units(1, 5))},
			},
			[]string{"a reserve sku-0001 5", "a sell sku-0001 5", "a return sku-0001 5", "b reserve sku-0001 4"},
			[]string{"inventory.reserved a", "inventory.reserved b"},
			[]int64{1, 5, 5},
		},
		"a refund that overtakes its sale on the way of a retry comes to the same": {
			true,
			[][]bus.Message{{order(t, "a", units(1, 2))}, {paid(t, "a", "refunded", units(1, 2))}, {paid(t, "a", "captured", units(1, 2))}},
			[]string{"a reserve sku-0001 2", "a return sku-0001 2", "a sell sku-0001 2"},
			[]string{"inventory.reserved a"},
			[]int64{5, 5, 5},
		},
		"with the inbox a redelivery changes nothing": {
			true,
			[][]bus.Message{{order(t, "a", units(1, 1))}, {order(t, "a", units(1, 1)), order(t, "a", units(1, 1))}},
			[]string{"a reserve sku-0001 1"},
			[]string{"inventory.reserved a"},
			[]int64{4, 5, 5},
		},
		"without the inbox a redelivery takes stock again": {
			false,
			[][]bus.Message{{order(t, "a", units(1, 1))}, {order(t, "a", units(1, 1))}},
			[]string{"a reserve sku-0001 1", "a reserve sku-0001 1"},
			[]string{"inventory.reserved a", "inventory.reserved a"},
			[]int64{3, 5, 5},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClerk(t, tc.inbox)
			for _, batch := range tc.batches {
				if err := c.handle(t.Context(), batch); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(tc.movements, c.movements(t)); diff != "" {
				t.Errorf("movements: %s", diff)
			}
			if diff := cmp.Diff(tc.answers, c.answers(t)); diff != "" {
				t.Errorf("answers: %s", diff)
			}
			for i, want := range tc.left {
				a, err := c.stock.find(t.Context(), events.SKU(i+1))
				if err != nil || a.Available != want || a.Initial != a.Available+a.Reserved+a.Sold {
					t.Errorf("stock %+v, %v; want %d available", a, err, want)
				}
			}
		})
	}
}

func TestStockIsSeededOnce(t *testing.T) {
	c := newClerk(t, true)
	if err := c.handle(t.Context(), []bus.Message{order(t, "a", units(1, 2))}); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{3, 4} { // a restart, and one with an article more
		if err := c.stock.seed(t.Context(), n, 5); err != nil {
			t.Fatal(err)
		}
	}
	first, err := c.stock.find(t.Context(), events.SKU(1))
	if err != nil || first != (article{SKU: events.SKU(1), Initial: 5, Available: 3, Reserved: 2}) {
		t.Errorf("stock %+v, %v; want it as the order left it", first, err)
	}
	fourth, err := c.stock.find(t.Context(), events.SKU(4))
	if err != nil || fourth.Available != 5 {
		t.Errorf("stock %+v, %v; want the new article there", fourth, err)
	}
}

func TestWorkIsPaidPerOrderAndEndsWithTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		if err := pause(t.Context(), 160*time.Millisecond); err != nil || time.Since(start) != 160*time.Millisecond {
			t.Errorf("paused %s, %v", time.Since(start), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := pause(ctx, time.Hour); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 2*time.Second {
			t.Errorf("paused %s, %v", time.Since(start), err)
		}
	})
}

func TestStockIsShown(t *testing.T) {
	c := newClerk(t, true)
	a := &api{stock: c.stock, log: c.log}
	h := a.handler(telemetry.NewRequests(prometheus.NewRegistry()))
	for name, tc := range map[string]struct {
		method, path string
		status       int
		body         string
	}{
		"an article":            {"GET", "/stock/sku-0001", 200, `{"sku":"sku-0001","initial":5,"available":5,"reserved":0,"sold":0}`},
		"an article that isn't": {"GET", "/stock/teapot", 404, `{"type":"urn:ordbench:problem:not-found","title":"Not Found","status":404,"detail":"no such article"}`},
		"an article bought":     {"POST", "/stock/sku-0001", 405, `{"type":"urn:ordbench:problem:method","title":"Method Not Allowed","status":405,"detail":"POST is not one of GET, HEAD"}`},
		"a path that is not":    {"GET", "/stock", 404, `{"type":"urn:ordbench:problem:not-found","title":"Not Found","status":404,"detail":"there is GET /stock/{sku}"}`},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(tc.method, tc.path, nil))
			if w.Code != tc.status || w.Body.String() != tc.body+"\n" {
				t.Errorf("answer %d %s", w.Code, w.Body)
			}
			want := "application/problem+json"
			if tc.status == http.StatusOK {
				want = "application/json"
			}
			if got := w.Header().Get("Content-Type"); got != want {
				t.Errorf("content type %s, want %s", got, want)
			}
		})
	}
}

// BenchmarkBatch is what a full batch costs beside the work and the broker.
func BenchmarkBatch(b *testing.B) {
	c := newClerkOf(b, Config{Inbox: true, SKUs: 1, Stock: 1 << 40})
	batch := make([]bus.Message, maxBatch)
	n := 0
	for b.Loop() {
		for i := range batch {
			n++
			batch[i] = order(b, fmt.Sprint(n), units(1, 1))
		}
		if err := c.handle(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "orders/s")
}

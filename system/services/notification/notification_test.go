package notification

import (
	"fmt"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ordbench/ordbench/system/bus"
	"github.com/ordbench/ordbench/system/events"
	"github.com/ordbench/ordbench/system/telemetry"
)

func newHerald(t testing.TB, inbox bool) *herald {
	t.Helper()
	m, err := openMailbox(t.Context(), Config{Database: filepath.Join(t.TempDir(), "notification.db"), Inbox: inbox})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.db.Close(); err != nil {
			t.Error(err)
		}
	})
	return &herald{mailbox: m, metrics: newMetrics(prometheus.NewRegistry()), log: slog.New(slog.DiscardHandler)}
}

// heard is an event of an order; n tells events of one type apart.
func heard(t testing.TB, order, kind string, n int) bus.Message {
	t.Helper()
	e := event(order, kind)
	e.EventID += fmt.Sprint(n)
	b, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return bus.Message{Topic: events.PaymentTopic, Key: order, Value: b}
}

func event(order, kind string) events.Event {
	return events.Event{
		Type: kind, EventID: kind + order, OrderID: order, UserID: "user-" + order, Total: 1, Reason: "r",
		Timestamp: events.At(time.UnixMicro(1)), Items: []events.Item{{SKU: "sku-0001", Quantity: 1}},
	}
}

func (h *herald) sent(t testing.TB) []string {
	t.Helper()
	rows, err := h.mailbox.db.Query(t.Context(), `SELECT order_id, kind, user_id FROM notifications ORDER BY id`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	all := []string{}
	for rows.Next() {
		var order, kind, user string
		if err := rows.Scan(&order, &kind, &user); err != nil {
			t.Fatal(err)
		}
		if user != "user-"+order {
			t.Errorf("%s was told of order %s", user, order)
		}
		all = append(all, order+" "+kind)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestCustomersHearOfTheEndOnce(t *testing.T) {
	junk := bus.Message{Topic: events.PaymentTopic, Value: []byte("{")}
	for name, tc := range map[string]struct {
		inbox   bool
		batches [][]bus.Message
		sent    []string
	}{
		"each end has its kind, and what is on the way has none": {
			true,
			[][]bus.Message{{
				heard(t, "a", events.InventoryReserved, 1), heard(t, "a", events.PaymentCaptured, 1),
				heard(t, "b", events.PaymentDeclined, 1), junk, heard(t, "c", events.InventoryRejected, 1),
			}},
			[]string{"a confirmed", "b cancelled", "c rejected"},
		},
		"with the inbox an event that comes again is not told again": {
			true,
			[][]bus.Message{{heard(t, "a", events.PaymentCaptured, 1)}, {heard(t, "a", events.PaymentCaptured, 1), heard(t, "a", events.PaymentCaptured, 1)}},
			[]string{"a confirmed"},
		},
		"nor is another event that says the same": {
			true,
			[][]bus.Message{{heard(t, "a", events.PaymentCaptured, 1)}, {heard(t, "a", events.PaymentCaptured, 2)}},
			[]string{"a confirmed"},
		},
		"without the inbox it is": {
			false,
			[][]bus.Message{{heard(t, "a", events.PaymentCaptured, 1)}, {heard(t, "a", events.PaymentCaptured, 1)}},
			[]string{"a confirmed", "a confirmed"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHerald(t, tc.inbox)
			for _, batch := range tc.batches {
				if err := h.handle(t.Context(), batch); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(tc.sent, h.sent(t)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNotificationsAreShown(t *testing.T) {
	n := newHerald(t, true)
	if _, err := n.mailbox.send(t.Context(), []events.Event{event("a", events.PaymentCaptured)}, time.UnixMicro(1_000_000)); err != nil {
		t.Fatal(err)
	}
	a := &api{mailbox: n.mailbox, log: n.log}
	h := a.handler(telemetry.NewRequests(prometheus.NewRegistry()))
	for name, tc := range map[string]struct {
		method, path string
		status       int
		body         string
	}{
		"a notification":            {"GET", "/notifications/a", 200, `{"order_id":"a","notifications":[{"kind":"confirmed","user_id":"user-a","at":"1970-01-01T00:00:01Z"}]}`},
		"a notification that isn't": {"GET", "/notifications/b", 404, `{"type":"urn:ordbench:problem:not-found","title":"Not Found","status":404,"detail":"nobody was told of this order"}`},
		"a notification by hand":    {"POST", "/notifications/a", 405, `{"type":"urn:ordbench:problem:method","title":"Method Not Allowed","status":405,"detail":"POST is not one of GET, HEAD"}`},
		"a path that is not":        {"GET", "/notifications", 404, `{"type":"urn:ordbench:problem:not-found","title":"Not Found","status":404,"detail":"there is GET /notifications/{order}"}`},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(tc.method, tc.path, nil))
			if w.Code != tc.status || w.Body.String() != tc.body+"\n" {
				t.Errorf("answer %d %s", w.Code, w.Body)
			}
		})
	}
}

// BenchmarkBatch is what a full batch costs beside the broker.
func BenchmarkBatch(b *testing.B) {
	h := newHerald(b, true)
	batch := make([]bus.Message, maxBatch)
	n := 0
	for b.Loop() {
		for i := range batch {
			n++
			batch[i] = heard(b, fmt.Sprint(n), events.PaymentCaptured, 1)
		}
		if err := h.handle(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
}

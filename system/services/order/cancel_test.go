package order

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ordbench/ordbench/system/endpoint"
	"github.com/ordbench/ordbench/system/events"
	"github.com/ordbench/ordbench/system/store"
)

func cancelAs(h http.Handler, id, subject string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", "/orders/"+id+"/cancel", nil)
	if subject != "" {
		r.Header.Set(endpoint.SubjectField, subject)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestACustomerCancels(t *testing.T) {
	a, h := newAPI(t, nil)
	for _, tc := range []struct {
		name    string
		from    Status
		subject string
		status  int
		to      Status
		told    int // events of the cancellation
	}{
		{"a pending order", Pending, "u123", 202, Cancelled, 1},
		{"a paid order", Confirmed, "u123", 202, Cancelled, 1},
		{"a parked order", Parked, "u123", 202, Cancelled, 1},
		{"an order that is cancelled", Cancelled, "u123", 202, Cancelled, 0},
		{"an order that was rejected", Rejected, "u123", 409, Rejected, 0},
		{"another's order", Confirmed, "u9", 404, Confirmed, 0},
		{"another's rejected order", Rejected, "u9", 404, Rejected, 0},
		{"any order, for who speaks for all", Confirmed, "", 202, Cancelled, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			id := read[accepted](t, post(h, tc.name, anOrder)).ID
			err := a.book.db.Write(t.Context(), func(tx *store.Tx) error {
				_, err := tx.Exec(`UPDATE orders SET status = ? WHERE id = ?`, string(tc.from), id)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // the second finds it as the first has left it
				w := cancelAs(h, id, tc.subject)
				if w.Code != tc.status {
					t.Fatalf("answer %d %s, want %d", w.Code, w.Body, tc.status)
				}
				if want := `{"order_id":"` + id + `","status":"CANCELLED"}`; tc.status == 202 && strings.TrimSpace(w.Body.String()) != want {
					t.Errorf("answer %s, want %s", w.Body, want)
				}
			}
			version := int64(1 + tc.told)
			if v := read[view](t, get(h, "/orders/"+id)); v.Status != tc.to || v.Version != version {
				t.Errorf("order %+v, want it %s in version %d", v, tc.to, version)
			}
			pending, err := a.book.db.Pending(t.Context(), 1000)
			if err != nil {
				t.Fatal(err)
			}
			told := 0
			for _, m := range pending {
				if m.Key != id || m.Topic != events.CancellationsTopic {
					continue
				}
				told++
				e, err := events.Decode(m.Payload)
				if err != nil || e.Type != events.OrderCancelled || e.OrderID != id || e.UserID != "u123" || e.Total != 99_95 || len(e.Items) != 1 {
					t.Errorf("event %+v, %v", e, err)
				}
			}
			if told != tc.told {
				t.Errorf("told of it %d times, want %d", told, tc.told)
			}
		})
	}
	if w := cancelAs(h, "none", ""); w.Code != http.StatusNotFound {
		t.Errorf("an order that is not: %d", w.Code)
	}
}

func TestNoEventRevivesACancelledOrder(t *testing.T) {
	a, h := newAPI(t, nil)
	for _, kind := range []string{events.PaymentCaptured, events.PaymentDeclined, events.InventoryRejected, events.PaymentRefunded} {
		id := read[accepted](t, post(h, kind, anOrder)).ID
		if w := cancelAs(h, id, ""); w.Code != http.StatusAccepted {
			t.Fatal(w.Code, w.Body)
		}
		e := events.Event{Type: kind, EventID: kind, OrderID: id}
		if _, err := a.book.apply(t.Context(), []events.Event{e}, time.Now()); err != nil {
			t.Fatal(err)
		}
		if v := read[view](t, get(h, "/orders/"+id)); v.Status != Cancelled || v.Version != 2 {
			t.Errorf("after %s it is %+v", kind, v)
		}
	}
}

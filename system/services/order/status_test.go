package order

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/ordbench/ordbench/system/events"
	"github.com/ordbench/ordbench/system/store"
)

func TestStatusMachine(t *testing.T) {
	a, h := newAPI(t, nil)
	for _, tc := range []struct {
		name  string
		from  Status
		event string
		to    Status
		moved bool
	}{
		{"a payment confirms a pending order", Pending, events.PaymentCaptured, Confirmed, true},
		{"a declined payment cancels a pending order", Pending, events.PaymentDeclined, Cancelled, true},
		{"a reservation is on the way, and no end", Pending, events.InventoryReserved, Pending, false},
		{"a payment that comes late confirms a parked order", Parked, events.PaymentCaptured, Confirmed, true},
		{"a declined payment that comes late cancels a parked order", Parked, events.PaymentDeclined, Cancelled, true},
		{"a rejection that comes late rejects a parked order", Parked, events.InventoryRejected, Rejected, true},
		{"a reservation does not bring a parked order back", Parked, events.InventoryReserved, Parked, false},
		{"a second payment changes nothing", Confirmed, events.PaymentCaptured, Confirmed, false},
		{"a late decline does not take a confirmation back", Confirmed, events.PaymentDeclined, Confirmed, false},
		{"a late payment does not revive a cancelled order", Cancelled, events.PaymentCaptured, Cancelled, false},
		{"a late payment does not revive a rejected order", Rejected, events.PaymentCaptured, Rejected, false},
		{"a second decline changes nothing", Cancelled, events.PaymentDeclined, Cancelled, false},
		{"no stock rejects a pending order", Pending, events.InventoryRejected, Rejected, true},
		{"a second rejection changes nothing", Rejected, events.InventoryRejected, Rejected, false},
		{"a late rejection does not take a confirmation back", Confirmed, events.InventoryRejected, Confirmed, false},
		{"a late reservation does not revive a rejected order", Rejected, events.InventoryReserved, Rejected, false},
		{"its own creation changes nothing", Pending, events.OrderCreated, Pending, false},
		{"an event of no known type changes nothing", Pending, "payment.lost", Pending, false},
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
			e := events.Event{Type: tc.event, EventID: tc.name, OrderID: id}
			out, err := a.book.apply(t.Context(), []events.Event{e}, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			version := int64(1)
			if tc.moved {
				version = 2
			}
			v := read[view](t, get(h, "/orders/"+id))
			if v.Status != tc.to || v.Version != version || (out.ignored == 0) != tc.moved {
				t.Errorf("%s after %s is %s in version %d (%+v); want %s in %d", tc.from, tc.event, v.Status, v.Version, out, tc.to, version)
			}
		})
	}
}

func TestNoStepLeadsBack(t *testing.T) {
	rank := map[Status]int{Pending: 0, Parked: 1, Confirmed: 2, Rejected: 2, Cancelled: 2}
	for event, end := range ends {
		if rank[end] <= rank[Parked] {
			t.Errorf("%s leads to %s", event, end)
		}
	}
}

func TestStuckOrdersAreParked(t *testing.T) {
	a, h := newAPI(t, nil)
	const limit = time.Minute
	parked := &tally{}
	r := &reaper{book: a.book, limit: limit, parked: parked, log: slog.New(slog.DiscardHandler)}
	ids := make([]string, reapBatch+3) // more than one transaction takes
	for i := range ids {
		ids[i] = read[accepted](t, post(h, fmt.Sprint("key-", i), anOrder)).ID
	}
	ended, placed := ids[1], time.Now()
	e := events.Event{Type: events.PaymentCaptured, EventID: "e", OrderID: ended}
	if _, err := a.book.apply(t.Context(), []events.Event{e}, placed); err != nil {
		t.Fatal(err)
	}

	if n, err := r.reap(t.Context(), placed.Add(limit/2)); n != 0 || err != nil {
		t.Errorf("%d orders parked before the limit, %v", n, err)
	}
	if n, err := r.reap(t.Context(), placed.Add(limit)); n != int64(len(ids)-1) || err != nil {
		t.Errorf("%d orders parked, %v; want all but the one that has ended", n, err)
	}
	for _, id := range ids {
		want := Parked
		if id == ended {
			want = Confirmed
		}
		if v := read[view](t, get(h, "/orders/"+id)); v.Status != want || v.Version != 2 {
			t.Fatalf("order is %+v, want it %s in version 2", v, want)
		}
	}
	if n, err := r.reap(t.Context(), placed.Add(2*limit)); n != 0 || err != nil {
		t.Errorf("%d orders parked again, %v", n, err)
	}
	e = events.Event{Type: events.PaymentCaptured, EventID: "late", OrderID: ids[0]}
	if _, err := a.book.apply(t.Context(), []events.Event{e}, time.Now()); err != nil {
		t.Fatal(err)
	}
	if v := read[view](t, get(h, "/orders/"+ids[0])); v.Status != Confirmed || v.Version != 3 {
		t.Errorf("order is %+v, want it CONFIRMED in version 3", v)
	}
}

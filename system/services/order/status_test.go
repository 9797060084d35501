package order

import (
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
		{"stock confirms a pending order", Pending, events.InventoryReserved, Confirmed, true},
		{"no stock rejects a pending order", Pending, events.InventoryRejected, Rejected, true},
		{"a second reservation changes nothing", Confirmed, events.InventoryReserved, Confirmed, false},
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
	rank := map[Status]int{Pending: 0, Confirmed: 1, Rejected: 1}
	for event, s := range steps {
		if rank[s.to] <= rank[s.from] {
			t.Errorf("%s leads from %s to %s", event, s.from, s.to)
		}
	}
}

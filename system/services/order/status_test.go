package order

import (
	"testing"

	"github.com/ordbench/ordbench/system/events"
)

func TestStatusMachine(t *testing.T) {
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
			to, moved := tc.from.After(tc.event)
			if to != tc.to || moved != tc.moved {
				t.Errorf("%s after %s is %s, %t; want %s, %t", tc.from, tc.event, to, moved, tc.to, tc.moved)
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

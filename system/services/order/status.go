package order

import "github.com/ordbench/ordbench/system/events"

// Status is where an order stands. It never goes back: every step leads away
// from Pending, and no step leads away from where an order ends.
type Status string

// The statuses of an order.
const (
	Pending   Status = "PENDING"   // accepted, its stock is being looked for
	Confirmed Status = "CONFIRMED" // its stock is reserved
	Rejected  Status = "REJECTED"  // its stock was not there
)

// step is what one event does to an order.
type step struct{ from, to Status }

// steps is the whole machine, by the type of the event: it moves an order
// only from the one status that it answers to. Payment will put its steps
// here.
var steps = map[string]step{
	events.InventoryReserved: {from: Pending, to: Confirmed},
	events.InventoryRejected: {from: Pending, to: Rejected},
}

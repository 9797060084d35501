package order

import "github.com/ordbench/ordbench/system/events"

// Status is where an order stands. It never goes back: every step leads to a
// later one, and no step leads away from where an order ends.
type Status string

// The statuses of an order.
const (
	Pending   Status = "PENDING"   // accepted; its stock and its payment are under way
	Parked    Status = "PARKED"    // it has waited too long or failed too often, and is out of the way; an answer still ends it
	Confirmed Status = "CONFIRMED" // paid; its customer may still cancel it
	Rejected  Status = "REJECTED"  // its stock was not there
	Cancelled Status = "CANCELLED" // its payment was declined or its customer cancelled it, and stock and money went back
)

// ends is the whole machine, by the type of the event: it ends an order that
// has not ended yet, whether it is pending or parked. That its stock is
// reserved does not show in the status: for the customer it is on its way.
var ends = map[string]Status{
	events.PaymentCaptured:   Confirmed,
	events.InventoryRejected: Rejected,
	events.PaymentDeclined:   Cancelled,
}

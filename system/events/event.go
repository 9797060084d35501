// Package events is what travels on the topics. Encode an Event to publish
// it, Decode what a consumer was handed.
//
// The invariant: what Decode returns without an error is complete for its
// type, and Encode then Decode gives back the same event.
package events

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Topics, all keyed by order id.
const (
	OrdersTopic    = "orders-topic"    // written by order
	InventoryTopic = "inventory-topic" // written by inventory
	PaymentTopic   = "payment-topic"   // written by payment

	// CancellationsTopic is written by order too. It is apart from
	// OrdersTopic, so that payment need not read every order that is placed.
	CancellationsTopic = "cancellations-topic"
)

// Topics lists them along the way of an order.
func Topics() []string {
	return []string{OrdersTopic, InventoryTopic, PaymentTopic, CancellationsTopic}
}

// Consumer groups, each of one service.
const (
	InventoryGroup    = "inventory-group"    // reads OrdersTopic to reserve, PaymentTopic to sell, release or take back
	PaymentGroup      = "payment-group"      // reads InventoryTopic to charge, CancellationsTopic to refund
	OrderGroup        = "order-group"        // reads InventoryTopic and PaymentTopic
	NotificationGroup = "notification-group" // reads InventoryTopic and PaymentTopic
)

// Groups lists them.
func Groups() []string { return []string{InventoryGroup, PaymentGroup, OrderGroup, NotificationGroup} }

// Types of events.
const (
	OrderCreated      = "order.created"
	OrderCancelled    = "order.cancelled" // by its customer
	InventoryReserved = "inventory.reserved"
	InventoryRejected = "inventory.rejected"
	PaymentCaptured   = "payment.captured"
	PaymentDeclined   = "payment.declined"
	PaymentRefunded   = "payment.refunded" // after PaymentCaptured
)

// DefaultSKU is what an order without items buys one unit of.
const DefaultSKU = "sku-0001"

// SKU names the n-th article of the stock, counted from 1.
func SKU(n int) string { return fmt.Sprintf("sku-%04d", n) }

// Event is the one envelope of all types. Which fields must be set depends on
// Type: Validate knows.
type Event struct {
	Type      string    `json:"event"`
	EventID   string    `json:"event_id"` // unique: what an inbox remembers
	OrderID   string    `json:"order_id"`
	UserID    string    `json:"user_id,omitempty"` // whose order it is
	Total     Money     `json:"total"`
	Timestamp Timestamp `json:"timestamp"`        // when it happened
	Items     []Item    `json:"items,omitempty"`  // order.created, and what was reserved for it
	Reason    string    `json:"reason,omitempty"` // inventory.rejected, payment.declined: for people

	// Traceparent is the span that works on the event, for the consumer: what
	// it answers is written in that span. It travels in a header.
	Traceparent string `json:"-"`
}

// Item is one line of an order.
type Item struct {
	SKU      string `json:"sku"`
	Quantity int64  `json:"quantity"` // units, more than 0
}

// Encode validates e and writes it as JSON.
func (e Event) Encode() ([]byte, error) {
	if err := e.Validate(); err != nil {
		return nil, fmt.Errorf("encode event %s: %w", e.EventID, err)
	}
	b, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("encode event %s: %w", e.EventID, err)
	}
	return b, nil
}

// Decode reads one event. Keys it does not know are ignored, so that an older
// consumer survives a newer producer; a missing or senseless field is an
// error that names every such field.
func Decode(b []byte) (Event, error) {
	var e Event
	if err := json.Unmarshal(b, &e); err != nil {
		return Event{}, fmt.Errorf("decode event: %w", err)
	}
	if err := e.Validate(); err != nil {
		return Event{}, fmt.Errorf("decode event %s: %w", e.EventID, err)
	}
	return e, nil
}

// Validate returns every problem of e, joined.
func (e Event) Validate() error {
	var problems []error
	need := func(ok bool, format string, args ...any) {
		if !ok {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	need(e.EventID != "", "event_id is missing")
	need(e.OrderID != "", "order_id is missing")
	need(e.Timestamp > 0, "timestamp is missing or not after 1970")
	need(e.Total >= 0, "total is negative: %s", e.Total)
	for i, item := range e.Items {
		need(item.SKU != "", "items[%d].sku is missing", i)
		need(item.Quantity > 0, "items[%d].quantity is not positive: %d", i, item.Quantity)
	}
	switch e.Type {
	case OrderCreated, OrderCancelled:
		need(e.UserID != "", "user_id is missing")
		need(len(e.Items) > 0, "items are missing")
	case InventoryReserved, PaymentCaptured, PaymentRefunded:
		need(len(e.Items) > 0, "items are missing")
	case PaymentDeclined:
		need(len(e.Items) > 0, "items are missing")
		need(e.Reason != "", "reason is missing")
	case InventoryRejected:
		need(e.Reason != "", "reason is missing")
	case "":
		need(false, "event is missing")
	default:
		need(false, "event %q is of no known type", e.Type)
	}
	return errors.Join(problems...)
}

// IDs are those of batch, in its order.
func IDs(batch []Event) []string {
	ids := make([]string, len(batch))
	for i := range batch {
		ids[i] = batch[i].EventID
	}
	return ids
}

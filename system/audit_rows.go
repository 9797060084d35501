package system

import "time"

// Auditor receives the system's books row by row, so that a million orders
// need no million structs. An error ends the audit.
type Auditor interface {
	Order(OrderRow) error
	Movement(MovementRow) error
	Stock(StockRow) error
	Charge(ChargeRow) error
	Entry(EntryRow) error
	Notification(NotificationRow) error
	Outbox(OutboxRow) error
	Event(EventRow) error
	Inbox(InboxRow) error
	DeadLetter(DeadLetter) error
	InDoubt(InDoubtRow) error
}

// OrderRow is one row of the order database.
type OrderRow struct {
	ID        string
	Key       string // idempotency key
	UserID    string
	Status    string // PENDING, CONFIRMED, REJECTED, CANCELLED, PARKED
	Version   int
	Cancelled bool // by its customer, at UpdatedAt
	CreatedAt time.Time
	UpdatedAt time.Time
}

// MovementRow is one change of stock. Stock effects are rows that are only
// ever added, so an effect that happened twice stands there twice.
type MovementRow struct {
	OrderID  string
	EventID  string // the event that caused it
	SKU      string
	Kind     string // reserve, release, sell, return, reject (quantity 0: nothing was kept)
	Quantity int64
	At       time.Time
}

// StockRow is what the inventory holds of one SKU.
type StockRow struct {
	SKU                                string
	Initial, Available, Reserved, Sold int64
}

// ChargeRow is one line of the payment provider's own book: what it did to a
// customer's money.
type ChargeRow struct {
	OrderID string
	Key     string // what it was asked under
	Outcome string // captured, declined, refunded; in two-phase commit held and voided too
	Cents   int64
	At      time.Time
}

// EntryRow is one side of a transaction in the ledger of the payment service.
// The sides of a transaction make zero.
type EntryRow struct {
	Transaction string
	OrderID     string
	Account     string // provider (what it owes), sales (what was earned)
	Cents       int64  // a debit is positive, a credit negative
	At          time.Time
}

// NotificationRow is one message to a customer. Rows are only ever added.
type NotificationRow struct {
	OrderID string
	UserID  string
	Kind    string // confirmed, rejected, cancelled, refunded
	EventID string // the event that caused it
	At      time.Time
}

// OutboxRow is one event that a service promised to publish.
type OutboxRow struct {
	Owner     string // component
	EventID   string
	Topic     string
	Key       string
	Published bool
}

// InboxRow is how many events a group has noted as handled.
type InboxRow struct {
	Group string
	Seen  uint64
}

// InDoubtRow is a part of a transaction over several services that waits for its
// end. There are such only in two-phase commit.
type InDoubtRow struct {
	Owner string // component
	What  string // what about it is in doubt, for people
	Name  string // of the order, or of the server's prepared transaction
}

// EventRow is one message found in a topic.
type EventRow struct {
	Topic     string
	Partition int
	Offset    int64
	EventID   string
	Type      string
	OrderID   string
}

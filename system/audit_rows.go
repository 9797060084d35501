package system

import "time"

// Auditor receives the system's books row by row, so that a million orders
// need no million structs. An error ends the audit.
type Auditor interface {
	Order(OrderRow) error
	Movement(MovementRow) error
	Stock(StockRow) error
	Outbox(OutboxRow) error
	Event(EventRow) error
}

// OrderRow is one row of the order database.
type OrderRow struct {
	ID        string
	Key       string // idempotency key
	UserID    string
	Status    string // PENDING, CONFIRMED, REJECTED, CANCELLED, PARKED
	Version   int
	CreatedAt time.Time
	UpdatedAt time.Time
}

// MovementRow is one change of stock. Stock effects are rows that are only
// ever added, so an effect that happened twice stands there twice.
type MovementRow struct {
	OrderID  string
	EventID  string // the event that caused it
	SKU      string
	Kind     string // reserve, release, sell, reject (quantity 0: nothing was kept)
	Quantity int64
	At       time.Time
}

// StockRow is what the inventory holds of one SKU.
type StockRow struct {
	SKU                                string
	Initial, Available, Reserved, Sold int64
}

// OutboxRow is one event that a service promised to publish.
type OutboxRow struct {
	Owner     string // component
	EventID   string
	Topic     string
	Key       string
	Published bool
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

package notification

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ordbench/ordbench/system/events"
	"github.com/ordbench/ordbench/system/store"
)

// schema of the notification database, beside the store's inbox. A row is a
// message that went out. Rows are only ever added, and nothing forbids a
// second one of a kind: what was told twice has to stand there twice.
var schema = []string{
	`CREATE TABLE IF NOT EXISTS notifications (
		id       INTEGER PRIMARY KEY AUTOINCREMENT,
		order_id TEXT NOT NULL,
		user_id  TEXT NOT NULL,
		kind     TEXT NOT NULL,
		event_id TEXT NOT NULL,
		at       BIGINT NOT NULL
	)`,
	`CREATE INDEX IF NOT EXISTS notifications_order ON notifications (order_id)`,
}

const (
	insertNotification  = `INSERT INTO notifications (order_id, user_id, kind, event_id, at) VALUES (?, ?, ?, ?, ?)`
	selectNotifications = `SELECT kind, user_id, at FROM notifications WHERE order_id = ? ORDER BY id`
)

// kinds of notifications, by the event that brings an order to its end or
// undoes that. Of what lies on the way there customers are not told.
var kinds = map[string]string{
	events.PaymentCaptured:   "confirmed",
	events.InventoryRejected: "rejected",
	events.PaymentDeclined:   "cancelled",
	events.PaymentRefunded:   "refunded",
}

// mailbox is the notification database.
type mailbox struct {
	db    *store.DB
	inbox bool // an order is told of once for each kind
}

// openMailbox opens the database, creating what is missing.
func openMailbox(ctx context.Context, cfg Config) (*mailbox, error) {
	db, err := store.Open(ctx, store.Config{Path: cfg.Database})
	if err != nil {
		return nil, err
	}
	if err := db.Migrate(ctx, schema...); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &mailbox{db: db, inbox: cfg.Inbox}, nil
}

// tally counts what became of a batch of events.
type tally struct {
	sent     map[string]int // by kind
	repeated int
}

// send tells the customers of what happened to their orders, all in one
// transaction. The inbox knows them by order and kind, not by event: that a
// customer hears of a thing once is the promise, whatever told of it. It is
// safe to call again with the same events after an error.
func (b *mailbox) send(ctx context.Context, batch []events.Event, now time.Time) (tally, error) {
	var out tally
	err := b.db.Write(ctx, func(tx *store.Tx) error {
		out = tally{sent: map[string]int{}}
		var first []bool
		if b.inbox {
			told := make([]string, len(batch))
			for i, e := range batch {
				told[i] = e.OrderID + " " + kinds[e.Type]
			}
			var err error
			if first, err = tx.FirstTimes(events.NotificationGroup, told); err != nil {
				return err
			}
		}
		for i, e := range batch {
			if b.inbox && !first[i] {
				out.repeated++
				continue
			}
			kind := kinds[e.Type]
			if err := tx.Defer(insertNotification, e.OrderID, e.UserID, kind, e.EventID, now.UnixMicro()); err != nil {
				return fmt.Errorf("order %s: %w", e.OrderID, err)
			}
			out.sent[kind]++
		}
		return beforeCommit.Hit(ctx)
	})
	if err == nil {
		err = afterCommit.Hit(ctx)
	}
	if err != nil {
		return tally{}, fmt.Errorf("send %d notifications: %w", len(batch), err)
	}
	return out, nil
}

// notification is what a customer was told.
type notification struct {
	Kind   string    `json:"kind"`
	UserID string    `json:"user_id"`
	At     time.Time `json:"at"`
}

// find reads what was sent about one order.
func (b *mailbox) find(ctx context.Context, orderID string) ([]notification, error) {
	rows, err := b.db.Query(ctx, selectNotifications, orderID)
	if err != nil {
		return nil, fmt.Errorf("find the notifications of %s: %w", orderID, err)
	}
	defer rows.Close()
	var found []notification
	for rows.Next() {
		var n notification
		var at int64
		if err := rows.Scan(&n.Kind, &n.UserID, &at); err != nil {
			return nil, fmt.Errorf("find the notifications of %s: %w", orderID, err)
		}
		n.At = time.UnixMicro(at).UTC()
		found = append(found, n)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("find the notifications of %s: %w", orderID, err)
	}
	return found, nil
}

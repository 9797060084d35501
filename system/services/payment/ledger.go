package payment

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/ordbench/ordbench/system/events"
	"github.com/ordbench/ordbench/system/store"
)

// schema of the payment database, beside the store's outbox and inbox.
// Payments and entries are only ever added, and nothing forbids a second one
// for the same order: what happened twice has to stand there twice.
var schema = slices.Concat([]string{
	`CREATE TABLE IF NOT EXISTS payments (
		id           INTEGER PRIMARY KEY AUTOINCREMENT,
		order_id     TEXT NOT NULL,
		event_id     TEXT NOT NULL,
		outcome      TEXT NOT NULL,
		amount_cents BIGINT NOT NULL,
		at           BIGINT NOT NULL
	)`,
	`CREATE INDEX IF NOT EXISTS payments_order ON payments (order_id)`,
	`CREATE TABLE IF NOT EXISTS entries (
		id             INTEGER PRIMARY KEY AUTOINCREMENT,
		transaction_id TEXT NOT NULL,
		order_id       TEXT NOT NULL,
		account        TEXT NOT NULL,
		amount_cents   BIGINT NOT NULL,
		at             BIGINT NOT NULL
	)`,
}, providerSchema, cancellationSchema)

const (
	insertPayment  = `INSERT INTO payments (order_id, event_id, outcome, amount_cents, at) VALUES (?, ?, ?, ?, ?)`
	selectPayments = `SELECT outcome, amount_cents, at FROM payments WHERE order_id = ? ORDER BY id`
	// Both sides of a transaction in one statement: there is no half.
	insertEntries = `INSERT INTO entries (transaction_id, order_id, account, amount_cents, at)
		VALUES (?, ?, ?, ?, ?), (?, ?, ?, ?, ?)`
)

// Accounts of the ledger. A debit is positive, a credit negative, and the two
// of a transaction make zero.
const (
	providerAccount = "provider" // what the provider owes us
	salesAccount    = "sales"    // what we have earned
)

// Reasons of a decline, for people.
const (
	declinedReason  = "the provider declined the charge"
	cancelledReason = "the order was cancelled before it was charged"
)

// ledger is the payment database.
type ledger struct {
	db    *store.DB
	inbox bool // an event takes effect only once
	// direct: who tells of an order waits for the answer, which goes into no
	// outbox.
	direct bool
}

// openLedger opens the database, creating what is missing.
func openLedger(ctx context.Context, cfg Config) (*ledger, error) {
	db, err := store.Open(ctx, store.Config{Path: cfg.Database})
	if err != nil {
		return nil, err
	}
	if err := db.Migrate(ctx, schema...); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &ledger{db: db, inbox: cfg.Inbox, direct: cfg.Direct || cfg.TwoPhase}, nil
}

// tally counts what became of a batch of orders.
type tally struct {
	captured, declined, repeated int

	cancelled map[string]bool // orders of the batch
	answer    []byte          // what came of the last order, where it is told directly
}

// record writes down what became of each order's money and promises to
// publish it, all in one transaction. It is safe to call again with the same
// orders after an error.
func (l *ledger) record(ctx context.Context, orders []events.Event, outcomes []outcome, now time.Time) (tally, error) {
	var out tally
	err := l.db.Write(ctx, func(tx *store.Tx) error {
		out = tally{}
		if err := tx.Share(cancelling); err != nil {
			return err
		}
		var first []bool
		if l.inbox {
			var err error
			if first, err = tx.FirstTimes(events.PaymentGroup, events.IDs(orders)); err != nil {
				return err
			}
		}
		var err error
		if out.cancelled, err = cancelled(func(q string, args ...any) (rows, error) { return tx.Query(q, args...) }, orders); err != nil {
			return err
		}
		for i, o := range orders {
			if l.inbox && !first[i] {
				out.repeated++
				continue
			}
			payload, err := l.enter(tx, o, outcomes[i], now)
			if err != nil {
				return fmt.Errorf("order %s: %w", o.OrderID, err)
			}
			out.answer = payload
			if outcomes[i] == captured {
				out.captured++
			} else {
				out.declined++
			}
		}
		return beforeCommit.Hit(ctx)
	})
	if err == nil {
		err = afterCommit.Hit(ctx)
	}
	if err != nil {
		return tally{}, fmt.Errorf("record the payment of %d orders: %w", len(orders), err)
	}
	return out, nil
}

// enter writes one payment, both sides of its transaction if money was moved,
// and the event that tells of it, which it returns.
func (l *ledger) enter(tx *store.Tx, o events.Event, what outcome, now time.Time) ([]byte, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, fmt.Errorf("make event id: %w", err)
	}
	e := events.Event{
		Type:      events.PaymentCaptured,
		EventID:   id.String(),
		OrderID:   o.OrderID,
		UserID:    o.UserID,
		Total:     o.Total,
		Timestamp: events.At(now),
		Items:     o.Items,
	}
	switch what {
	case declined:
		e.Type, e.Reason = events.PaymentDeclined, declinedReason
	case calledOff:
		what = declined
		e.Type, e.Reason = events.PaymentDeclined, cancelledReason
	}
	payload, err := e.Encode()
	if err != nil {
		return nil, err
	}
	micros, cents := now.UnixMicro(), int64(o.Total)
	if err := tx.Defer(insertPayment, o.OrderID, o.EventID, string(what), cents, micros); err != nil {
		return nil, err
	}
	if what == captured {
		err := tx.Defer(insertEntries,
			e.EventID, o.OrderID, providerAccount, cents, micros,
			e.EventID, o.OrderID, salesAccount, -cents, micros)
		if err != nil {
			return nil, err
		}
	}
	if l.direct {
		return payload, nil
	}
	return payload, tx.Enqueue(store.Message{EventID: e.EventID, Topic: events.PaymentTopic, Key: o.OrderID, Payload: payload, Traceparent: o.Traceparent})
}

// payment is what was decided about an order's money.
type payment struct {
	Outcome outcome      `json:"outcome"`
	Amount  events.Money `json:"amount"`
	At      time.Time    `json:"at"`
}

// find reads the payments of one order; there is one, or none yet.
func (l *ledger) find(ctx context.Context, orderID string) ([]payment, error) {
	rows, err := l.db.Query(ctx, selectPayments, orderID)
	if err != nil {
		return nil, fmt.Errorf("find the payment of %s: %w", orderID, err)
	}
	defer rows.Close()
	var found []payment
	for rows.Next() {
		var p payment
		var at int64
		if err := rows.Scan(&p.Outcome, &p.Amount, &at); err != nil {
			return nil, fmt.Errorf("find the payment of %s: %w", orderID, err)
		}
		p.At = time.UnixMicro(at).UTC()
		found = append(found, p)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("find the payment of %s: %w", orderID, err)
	}
	return found, nil
}

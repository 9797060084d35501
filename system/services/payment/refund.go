package payment

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ordbench/ordbench/system/events"
	"github.com/ordbench/ordbench/system/store"
)

// cancellationSchema is the orders that their customers have cancelled. It
// stands there whether the order was paid for before or will be after that:
// whoever comes second, the cancellation or the charge, sees the other.
var cancellationSchema = []string{
	`CREATE TABLE IF NOT EXISTS cancellations (
		order_id    TEXT PRIMARY KEY,
		event_id    TEXT NOT NULL,
		user_id     TEXT NOT NULL,
		items       TEXT NOT NULL,
		traceparent TEXT NOT NULL,
		at          BIGINT NOT NULL,
		refunded_at BIGINT
	)`,
}

const (
	insertCancellation = `INSERT INTO cancellations (order_id, event_id, user_id, items, traceparent, at)
		VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (order_id) DO NOTHING`
	// The guard makes a refund one, whoever else has seen that it is due.
	markRefunded = `UPDATE cancellations SET refunded_at = ? WHERE order_id = ? AND refunded_at IS NULL`
)

var (
	selectCancelled = inSizes(`SELECT order_id FROM cancellations WHERE order_id IN`)
	selectDue       = inSizes(`SELECT c.order_id, c.event_id, c.user_id, c.items, c.traceparent,
			(SELECT max(p.amount_cents) FROM payments p WHERE p.order_id = c.order_id AND p.outcome = 'captured')
		FROM cancellations c WHERE c.refunded_at IS NULL
		AND EXISTS (SELECT 1 FROM payments p WHERE p.order_id = c.order_id AND p.outcome = 'captured')
		AND c.order_id IN`)
)

// fewIDs is how many most batches have at most.
const fewIDs = 16

// sizes is a statement about a few ids, and about many.
type sizes struct{ few, many string }

func inSizes(q string) sizes {
	with := func(n int) string { return q + ` (?` + strings.Repeat(", ?", n-1) + `)` }
	return sizes{with(fewIDs), with(maxBatch)}
}

// each calls fn with a statement and its arguments, over and over, until all
// ids were among them. The last are filled up with the last id.
func (s sizes) each(ids []string, fn func(q string, args []any) error) error {
	q, size := s.few, fewIDs
	if len(ids) > fewIDs {
		q, size = s.many, maxBatch
	}
	for first := 0; first < len(ids); first += size {
		args := make([]any, size)
		for i := range args {
			args[i] = ids[min(first+i, len(ids)-1)]
		}
		if err := fn(q, args); err != nil {
			return err
		}
	}
	return nil
}

// cancelling is the word under which charges are entered side by side, and
// cancellations while nobody enters a charge: so of the two of an order the
// second sees the first.
const cancelling = "cancel"

// orderIDs are those of batch, in its order.
func orderIDs(batch []events.Event) []string {
	ids := make([]string, len(batch))
	for i := range batch {
		ids[i] = batch[i].OrderID
	}
	return ids
}

// cancel notes which orders were cancelled. What was charged for them is due
// from then on, and what was not will not be.
func (l *ledger) cancel(ctx context.Context, cancelled []events.Event, now time.Time) (repeated int, err error) {
	err = l.db.Write(ctx, func(tx *store.Tx) error {
		repeated = 0
		if err := tx.Exclude(cancelling); err != nil {
			return err
		}
		if l.inbox {
			first, err := tx.FirstTimes(events.PaymentGroup, events.IDs(cancelled))
			if err != nil {
				return err
			}
			for _, is := range first {
				if !is {
					repeated++
				}
			}
		}
		for _, e := range cancelled {
			items, err := json.Marshal(e.Items)
			if err != nil {
				return fmt.Errorf("write items: %w", err)
			}
			if err := tx.Defer(insertCancellation, e.OrderID, e.EventID, e.UserID, string(items), e.Traceparent, now.UnixMicro()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("cancel %d orders: %w", len(cancelled), err)
	}
	return repeated, nil
}

// query is a transaction, or what is committed.
type query func(q string, args ...any) (rows, error)

// rows is what is common to all that is read.
type rows interface {
	Next() bool
	Scan(...any) error
	Err() error
	Close() error
}

// cancelled says which of orders were cancelled.
func cancelled(ask query, orders []events.Event) (map[string]bool, error) {
	found := map[string]bool{}
	err := selectCancelled.each(orderIDs(orders), func(q string, args []any) error {
		rows, err := ask(q, args...)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var id string
			if err := rows.Scan(&id); err != nil {
				return err
			}
			found[id] = true
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("look for cancelled orders: %w", err)
	}
	return found, nil
}

// committed asks what is committed.
func (l *ledger) committed(ctx context.Context) query {
	return func(q string, args ...any) (rows, error) { return l.db.Query(ctx, q, args...) }
}

// due are the cancelled orders among ids that are paid for and not refunded,
// as the events that refund them.
func (l *ledger) due(ctx context.Context, ids []string) ([]events.Event, error) {
	var out []events.Event
	seen := map[string]bool{}
	err := selectDue.each(ids, func(q string, args []any) error {
		rows, err := l.db.Query(ctx, q, args...)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			e := events.Event{Type: events.PaymentRefunded}
			var items string
			if err := rows.Scan(&e.OrderID, &e.EventID, &e.UserID, &items, &e.Traceparent, &e.Total); err != nil {
				return err
			}
			if err := json.Unmarshal([]byte(items), &e.Items); err != nil {
				return fmt.Errorf("items of %s: %w", e.OrderID, err)
			}
			if !seen[e.OrderID] {
				seen[e.OrderID] = true
				out = append(out, e)
			}
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("look for refunds that are due: %w", err)
	}
	return out, nil
}

// refund writes down that the provider gave the money back, turns each
// transaction round in the ledger and promises to tell of it, all in one
// transaction. It is safe to call again with the same refunds after an error.
func (l *ledger) refund(ctx context.Context, refunds []events.Event, now time.Time) (done int, err error) {
	err = l.db.Write(ctx, func(tx *store.Tx) error {
		done = 0
		rows := make([][]any, len(refunds))
		for i, e := range refunds {
			rows[i] = []any{now.UnixMicro(), e.OrderID}
		}
		changed, err := tx.ExecEach(markRefunded, rows)
		if err != nil {
			return err
		}
		for i, e := range refunds {
			if changed[i] == 0 {
				continue
			}
			done++
			if err := l.enterRefund(tx, e, now); err != nil {
				return fmt.Errorf("order %s: %w", e.OrderID, err)
			}
		}
		return beforeRefunded.Hit(ctx)
	})
	if err == nil {
		err = afterRefunded.Hit(ctx)
	}
	if err != nil {
		return 0, fmt.Errorf("record the refund of %d orders: %w", len(refunds), err)
	}
	return done, nil
}

func (l *ledger) enterRefund(tx *store.Tx, e events.Event, now time.Time) error {
	cause, micros, cents := e.EventID, now.UnixMicro(), int64(e.Total)
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("make event id: %w", err)
	}
	e.EventID, e.Timestamp = id.String(), events.At(now)
	payload, err := e.Encode()
	if err != nil {
		return err
	}
	if err := tx.Defer(insertPayment, e.OrderID, cause, string(refunded), cents, micros); err != nil {
		return err
	}
	if err := tx.Defer(insertEntries,
		e.EventID, e.OrderID, providerAccount, -cents, micros,
		e.EventID, e.OrderID, salesAccount, cents, micros); err != nil {
		return err
	}
	return tx.Enqueue(store.Message{EventID: e.EventID, Topic: events.PaymentTopic, Key: e.OrderID, Payload: payload, Traceparent: e.Traceparent})
}

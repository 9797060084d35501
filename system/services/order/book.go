package order

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/ordbench/ordbench/system/events"
	"github.com/ordbench/ordbench/system/store"
	"github.com/ordbench/ordbench/system/telemetry"
)

// schema of the order database, beside the store's outbox and inbox. The
// index finds what is in flight without reading all that is done.
var schema = append([]string{
	`CREATE TABLE IF NOT EXISTS orders (
		id              TEXT PRIMARY KEY,
		idempotency_key TEXT NOT NULL UNIQUE,
		fingerprint     TEXT NOT NULL,
		user_id         TEXT NOT NULL,
		total_cents     BIGINT NOT NULL,
		items           TEXT NOT NULL,
		status          TEXT NOT NULL,
		version         BIGINT NOT NULL,
		created_at      BIGINT NOT NULL,
		updated_at      BIGINT NOT NULL
	)`,
	`CREATE INDEX IF NOT EXISTS orders_pending ON orders (id) WHERE status = 'PENDING'`,
	`CREATE INDEX IF NOT EXISTS orders_customer ON orders (user_id, id)`,
	// What the client sent as its key, where keys are not looked at: then
	// idempotency_key is the order's own id. NULL where they are.
	`ALTER TABLE orders ADD COLUMN unused_key TEXT`,
	// When its customer cancelled it; NULL if he did not.
	`ALTER TABLE orders ADD COLUMN cancelled_at BIGINT`,
}, decisionSchema...)

const (
	insertOrder = `INSERT INTO orders
		(id, idempotency_key, unused_key, fingerprint, user_id, total_cents, items, status, version, created_at, updated_at)
		SELECT ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ? WHERE claimed(?)
		ON CONFLICT (idempotency_key) DO NOTHING`
	selectByKey = `SELECT id, fingerprint, status FROM orders WHERE idempotency_key = ?`
	selectByID  = `SELECT user_id, total_cents, items, status, version, created_at, updated_at FROM orders WHERE id = ?`
	// The guard on the old status is the machine: whatever is delivered late
	// or twice finds the order at its end.
	endOrder = `UPDATE orders SET status = ?, version = version + 1, updated_at = ?
		WHERE id = ? AND status IN ('PENDING', 'PARKED')`
	parkOrder = `UPDATE orders SET status = 'PARKED', version = version + 1, updated_at = ?
		WHERE id = ? AND status = 'PENDING'`
)

// Errors of the book that are the client's business.
var (
	errOtherPayload = errors.New("the Idempotency-Key was used for another order")
	errInFlight     = errors.New("a request with this Idempotency-Key is in flight: repeat it later for its answer")
	errNoSuchOrder  = errors.New("no such order")
	errNotYours     = errors.New("user_id is not the subject of the token")
)

// book is the order database.
type book struct {
	db     *store.DB
	outbox bool // the event is written with the order, for the relay to publish
	inbox  bool // an event is applied only once
	// idempotent: a key stands for one order, however often it comes.
	idempotent bool
}

// openBook opens the database, creating what is missing.
func openBook(ctx context.Context, cfg Config) (*book, error) {
	db, err := store.Open(ctx, store.Config{Path: cfg.Database})
	if err != nil {
		return nil, err
	}
	if err := db.Migrate(ctx, schema...); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &book{db: db, outbox: cfg.Outbox, inbox: cfg.Inbox, idempotent: cfg.Idempotency}, nil
}

// receipt is what became of a request.
type receipt struct {
	id       string
	status   Status        // PENDING if it is new
	replayed bool          // the key was known: the order was placed before
	event    store.Message // order.created, for who has no outbox; empty if replayed
}

// After a commit without an answer the same request is made again, under the
// same key, which finds the order if it is there: so the client is not told
// "maybe" because a connection broke.
const (
	askAgain = 50 * time.Millisecond // at first, and twice as long each time
	askLimit = time.Second
)

// claim takes a key for the request that came first with it, until that is
// answered. Without idempotency every request has its own.
func (b *book) claim(key string) (release func(), err error) {
	if !b.idempotent {
		return func() {}, nil
	}
	release, mine, err := b.db.Claim("order " + key)
	if err == nil && !mine {
		err = errInFlight
	}
	return release, err
}

// place writes the order in one transaction, with its event if the outbox is
// on, and returns when both are on disk. A key that is known gives back the
// order it stands for; with another request behind it, errOtherPayload. The
// caller has claimed the key; that of another replica is errInFlight.
func (b *book) place(ctx context.Context, r request, key string, now time.Time) (receipt, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return receipt{}, fmt.Errorf("make order id: %w", err)
	}
	event, err := created(id.String(), r, now)
	if err != nil {
		return receipt{}, err
	}
	event.Traceparent = telemetry.Traceparent(ctx)
	items, err := json.Marshal(r.items)
	if err != nil {
		return receipt{}, fmt.Errorf("write items: %w", err)
	}
	print, micros := r.fingerprint(items), now.UnixMicro()
	unused := sql.NullString{String: key, Valid: !b.idempotent}
	if !b.idempotent {
		key = id.String() // nobody comes with it again but who asks again below
	}

	var out receipt
	write := func(tx *store.Tx) error {
		out = receipt{id: event.Key, status: Pending, event: event}
		res, err := tx.Exec(insertOrder, out.id, key, unused, print, r.userID, int64(r.total), string(items), string(Pending), micros, micros, key)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil {
			return err
		} else if n == 1 {
			if b.outbox {
				if err := tx.Enqueue(event); err != nil {
					return err
				}
			}
			return beforePlaced.Hit(ctx)
		}
		out = receipt{replayed: true}
		var first string
		if err := tx.QueryRow(selectByKey, key).Scan(&out.id, &first, &out.status); errors.Is(err, sql.ErrNoRows) {
			return errInFlight
		} else if err != nil {
			return err
		}
		if first != print {
			return errOtherPayload
		}
		// It is ours if we ask again because the commit had no answer.
		out.replayed = out.id != event.Key
		return nil
	}
	err = b.db.Write(ctx, write)
	for pause := askAgain; errors.Is(err, store.ErrUnknown) && pause <= askLimit; pause *= 2 {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return receipt{}, fmt.Errorf("place order: %w", err)
		}
		again := b.db.Write(ctx, write)
		if again == nil || errors.Is(again, errOtherPayload) || errors.Is(again, errInFlight) {
			err = again
		}
	}
	if err != nil {
		return receipt{}, fmt.Errorf("place order: %w", err)
	}
	if err := afterPlaced.Hit(ctx); err != nil {
		return receipt{}, fmt.Errorf("place order: %w", err)
	}
	if !out.replayed {
		out.event = event
	}
	return out, nil
}

// created is the message that tells the world of a new order.
func created(orderID string, r request, now time.Time) (store.Message, error) {
	eventID, err := uuid.NewV7()
	if err != nil {
		return store.Message{}, fmt.Errorf("make event id: %w", err)
	}
	e := events.Event{
		Type:      events.OrderCreated,
		EventID:   eventID.String(),
		OrderID:   orderID,
		UserID:    r.userID,
		Total:     r.total,
		Timestamp: events.At(now),
		Items:     r.items,
	}
	payload, err := e.Encode()
	if err != nil {
		return store.Message{}, err
	}
	return store.Message{EventID: e.EventID, Topic: events.OrdersTopic, Key: orderID, Payload: payload}, nil
}

// view is an order as GET /orders/{id} shows it.
type view struct {
	ID        string          `json:"order_id"`
	UserID    string          `json:"user_id"`
	Total     events.Money    `json:"total"`
	Items     json.RawMessage `json:"items"`
	Status    Status          `json:"status"`
	Version   int64           `json:"version"` // 1, and one more for every change of status
	CreatedAt time.Time       `json:"created_at"`
	UpdatedAt time.Time       `json:"updated_at"`
}

// find reads one order; errNoSuchOrder where there is none.
func (b *book) find(ctx context.Context, id string) (view, error) {
	v := view{ID: id}
	var items string
	var createdAt, updatedAt int64
	err := b.db.QueryRow(ctx, selectByID, id).Scan(
		&v.UserID, &v.Total, &items, &v.Status, &v.Version, &createdAt, &updatedAt)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return view{}, errNoSuchOrder
	case err != nil:
		return view{}, fmt.Errorf("find order %s: %w", id, err)
	}
	v.Items = json.RawMessage(items)
	v.CreatedAt, v.UpdatedAt = time.UnixMicro(createdAt).UTC(), time.UnixMicro(updatedAt).UTC()
	return v, nil
}

// applied counts what a batch of events did to orders.
type applied struct {
	moved    map[Status]int // by the status reached
	repeated int            // known to the inbox
	ignored  int            // the order is not there, or at its end, or the event ends none
}

// apply ends orders as events say, all in one transaction; what ends none
// takes none, because those who place orders wait for the same file. It is
// safe to call again with the same events after an error.
func (b *book) apply(ctx context.Context, batch []events.Event, now time.Time) (applied, error) {
	var telling []events.Event // those that end an order
	for _, e := range batch {
		if ends[e.Type] != "" {
			telling = append(telling, e)
		}
	}
	others := len(batch) - len(telling)
	if len(telling) == 0 {
		return applied{ignored: others}, nil
	}
	var out applied
	err := b.db.Write(ctx, func(tx *store.Tx) error {
		out = applied{moved: map[Status]int{}, ignored: others}
		var first []bool
		if b.inbox {
			var err error
			if first, err = tx.FirstTimes(events.OrderGroup, events.IDs(telling)); err != nil {
				return err
			}
		}
		var reached []Status
		var rows [][]any
		for i, e := range telling {
			if b.inbox && !first[i] {
				out.repeated++
				continue
			}
			reached = append(reached, ends[e.Type])
			rows = append(rows, []any{string(ends[e.Type]), now.UnixMicro(), e.OrderID})
		}
		changed, err := tx.ExecEach(endOrder, rows)
		if err != nil {
			return err
		}
		for i, end := range reached {
			if changed[i] == 0 {
				out.ignored++
			} else {
				out.moved[end]++
			}
		}
		return beforeApplied.Hit(ctx)
	})
	if err == nil {
		err = afterApplied.Hit(ctx)
	}
	if err != nil {
		return applied{}, fmt.Errorf("apply %d events: %w", len(batch), err)
	}
	return out, nil
}

// park takes orders out of the way that are still pending, and says how many
// they were.
func (b *book) park(ctx context.Context, ids []string, now time.Time) (parked int64, err error) {
	err = b.db.Write(ctx, func(tx *store.Tx) error {
		parked = 0
		for _, id := range ids {
			res, err := tx.Exec(parkOrder, now.UnixMicro(), id)
			if err != nil {
				return err
			}
			n, err := res.RowsAffected()
			if err != nil {
				return err
			}
			parked += n
		}
		return nil
	})
	if err != nil {
		// Never a message's own fault: there is no other place for a dead letter.
		return 0, fmt.Errorf("park %d orders: %v", len(ids), err) //nolint:errorlint // so it is not wrapped
	}
	return parked, nil
}

// leased has do done by one of all replicas at a time, until ctx ends: whoever
// has lost the lease waits for it again.
func (b *book) leased(ctx context.Context, name string, do func(context.Context)) error {
	for {
		held, release, err := b.db.Lease(ctx, name)
		if err != nil {
			return err
		}
		do(held)
		release()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

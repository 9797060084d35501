package inventory

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/ordbench/ordbench/system/events"
	"github.com/ordbench/ordbench/system/failpoint"
	"github.com/ordbench/ordbench/system/store"
)

// schema of the inventory database, beside the store's outbox and inbox.
// Movements are only ever added, and nothing forbids a second one for the
// same order: an effect that happened twice has to stand there twice.
var schema = []string{
	`CREATE TABLE IF NOT EXISTS stock (
		sku       TEXT PRIMARY KEY,
		initial   BIGINT NOT NULL,
		available BIGINT NOT NULL,
		reserved  BIGINT NOT NULL,
		sold      BIGINT NOT NULL
	) WITHOUT ROWID`,
	`CREATE TABLE IF NOT EXISTS movements (
		id       INTEGER PRIMARY KEY AUTOINCREMENT,
		order_id TEXT NOT NULL,
		event_id TEXT NOT NULL,
		sku      TEXT NOT NULL,
		kind     TEXT NOT NULL,
		quantity BIGINT NOT NULL,
		at       BIGINT NOT NULL
	)`,
	`CREATE INDEX IF NOT EXISTS movements_order ON movements (order_id)`,
}

const (
	insertStock = `INSERT INTO stock (sku, initial, available, reserved, sold)
		VALUES (?, ?, ?, 0, 0) ON CONFLICT (sku) DO NOTHING`
	selectStock    = `SELECT initial, available, reserved, sold FROM stock WHERE sku = ?`
	insertMovement = `INSERT INTO movements (order_id, event_id, sku, kind, quantity, at) VALUES (?, ?, ?, ?, ?, ?)`
)

// Kinds of movements.
const (
	reserve = "reserve"
	reject  = "reject" // quantity 0: nothing was kept
	sell    = "sell"
	release = "release"
	back    = "return" // of what was sold
)

var errNoSuchSKU = errors.New("no such article")

// stock is the inventory database.
type stock struct {
	db    *store.DB
	inbox bool // an event takes effect only once
	// direct: who tells of an event waits for the answer, which goes into no
	// outbox.
	direct bool
}

// openStock opens the database, creating what is missing; articles that it
// does not know yet get their initial units.
func openStock(ctx context.Context, cfg Config) (*stock, error) {
	db, err := store.Open(ctx, store.Config{Path: cfg.Database})
	if err != nil {
		return nil, err
	}
	s := &stock{db: db, inbox: cfg.Inbox, direct: cfg.Direct || cfg.TwoPhase}
	if err = db.Migrate(ctx, schema...); err == nil {
		err = s.seed(ctx, cfg.SKUs, cfg.Stock)
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

// seed adds what is missing of the first n articles.
func (s *stock) seed(ctx context.Context, n int, units int64) error {
	var have int
	if err := s.db.QueryRow(ctx, `SELECT count(*) FROM stock`).Scan(&have); err != nil {
		return fmt.Errorf("count stock: %w", err)
	}
	if have >= n { // all but the very first replica: no turn at the file taken
		return nil
	}
	err := s.db.Write(ctx, func(tx *store.Tx) error {
		for i := range n {
			if err := tx.Defer(insertStock, events.SKU(i+1), units, units); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("seed stock: %w", err)
	}
	return nil
}

// article is what is held of one SKU, in units. Initial is always the sum of
// the other three.
type article struct {
	SKU       string `json:"sku"`
	Initial   int64  `json:"initial"`
	Available int64  `json:"available"`
	Reserved  int64  `json:"reserved"`
	Sold      int64  `json:"sold"`
}

// find reads one article; errNoSuchSKU where there is none.
func (s *stock) find(ctx context.Context, sku string) (article, error) {
	a := article{SKU: sku}
	err := s.db.QueryRow(ctx, selectStock, sku).Scan(&a.Initial, &a.Available, &a.Reserved, &a.Sold)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return article{}, errNoSuchSKU
	case err != nil:
		return article{}, fmt.Errorf("find %s: %w", sku, err)
	}
	return a, nil
}

// tally counts what became of a batch of events.
type tally struct {
	reserved, rejected, sold, released, returned, repeated int

	direct bool
	answer []byte // what came of the last order, where it is told directly
}

// apply does what each event asks for, all in one transaction: a new order
// has its stock reserved or is rejected, and the answer is promised; what is
// paid for is sold, what is not goes back, and so does what is refunded. It is safe to call again with
// the same events after an error. Without an inbox an event that comes again
// takes effect again.
func (s *stock) apply(ctx context.Context, batch []events.Event, now time.Time) (tally, error) {
	var out tally
	err := s.db.Write(ctx, func(tx *store.Tx) error {
		out = tally{direct: s.direct}
		var first []bool
		if s.inbox {
			var err error
			if first, err = tx.FirstTimes(events.InventoryGroup, events.IDs(batch)); err != nil {
				return err
			}
		}
		shelf, err := reach(tx, batch)
		if err != nil {
			return err
		}
		for i, e := range batch {
			if s.inbox && !first[i] {
				out.repeated++
				continue
			}
			if err := out.apply(tx, shelf, e, now); err != nil {
				return fmt.Errorf("order %s: %w", e.OrderID, err)
			}
		}
		if err := shelf.write(tx); err != nil {
			return err
		}
		return out.pass(ctx, beforeCommit, beforeCompensated)
	})
	if err == nil {
		err = out.pass(ctx, afterCommit, afterCompensated)
	}
	if err != nil {
		return tally{}, fmt.Errorf("apply %d events to the stock: %w", len(batch), err)
	}
	return out, nil
}

// pass passes a failpoint, and another if something was compensated.
func (out *tally) pass(ctx context.Context, always, compensated *failpoint.Point) error {
	if err := always.Hit(ctx); err != nil || out.released+out.returned == 0 {
		return err
	}
	return compensated.Hit(ctx)
}

// apply does what one event asks for, and counts it.
func (out *tally) apply(tx *store.Tx, shelf shelf, e events.Event, now time.Time) error {
	switch e.Type {
	case events.PaymentCaptured:
		out.sold++
		return settle(tx, e, sell, shelf.sell, now)
	case events.PaymentDeclined:
		out.released++
		return settle(tx, e, release, shelf.release, now)
	case events.PaymentRefunded:
		out.returned++
		return settle(tx, e, back, shelf.back, now)
	}
	lack, err := take(tx, shelf, e, now)
	if err != nil {
		return err
	}
	if lack == "" {
		out.reserved++
	} else {
		out.rejected++
	}
	return out.tell(tx, e, lack, now)
}

// settle ends the reservation of every item of the order.
func settle(tx *store.Tx, e events.Event, kind string, change func(events.Item), now time.Time) error {
	for _, item := range e.Items {
		change(item)
		if err := move(tx, e, item.SKU, kind, item.Quantity, now); err != nil {
			return err
		}
	}
	return nil
}

// move writes down what an event did to the stock.
func move(tx *store.Tx, e events.Event, sku, kind string, units int64, now time.Time) error {
	return tx.Defer(insertMovement, e.OrderID, e.EventID, sku, kind, units, now.UnixMicro())
}

// take reserves every item of the order, or none: then lack says for people
// what was not there.
func take(tx *store.Tx, shelf shelf, o events.Event, now time.Time) (lack string, err error) {
	if item, lack := shelf.reserve(o.Items); lack != "" {
		return lack, move(tx, o, item.SKU, reject, 0, now)
	}
	for _, item := range o.Items {
		if err := move(tx, o, item.SKU, reserve, item.Quantity, now); err != nil {
			return "", err
		}
	}
	return "", nil
}

// tell promises to publish what became of the order, or keeps it for who waits.
func (out *tally) tell(tx *store.Tx, o events.Event, lack string, now time.Time) error {
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("make event id: %w", err)
	}
	e := events.Event{
		Type:      events.InventoryReserved,
		EventID:   id.String(),
		OrderID:   o.OrderID,
		UserID:    o.UserID,
		Total:     o.Total,
		Timestamp: events.At(now),
		Items:     o.Items,
	}
	if lack != "" {
		e.Type, e.Reason = events.InventoryRejected, lack
	}
	payload, err := e.Encode()
	if err != nil {
		return err
	}
	if out.direct {
		out.answer = payload
		return nil
	}
	return tx.Enqueue(store.Message{EventID: e.EventID, Topic: events.InventoryTopic, Key: o.OrderID, Payload: payload, Traceparent: o.Traceparent})
}

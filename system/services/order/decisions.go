package order

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/ordbench/ordbench/system/events"
	"github.com/ordbench/ordbench/system/store"
)

// decisionSchema is the log of a coordinator: how each transaction ended, and
// whether everybody was told. It is presumed that a transaction was aborted of
// which nothing stands here and whose order has waited for long: so nothing
// need be written before the votes are in.
var decisionSchema = []string{
	`CREATE TABLE IF NOT EXISTS decisions (
		order_id   TEXT PRIMARY KEY,
		event      TEXT NOT NULL,
		decided_at BIGINT NOT NULL,
		settled_at BIGINT
	)`,
	`CREATE INDEX IF NOT EXISTS decisions_unsettled ON decisions (decided_at) WHERE settled_at IS NULL`,
}

const (
	insertDecision  = `INSERT INTO decisions (order_id, event, decided_at) VALUES (?, ?, ?)`
	settleDecision  = `UPDATE decisions SET settled_at = ? WHERE order_id = ? AND settled_at IS NULL`
	selectUnsettled = `SELECT event FROM decisions WHERE settled_at IS NULL AND decided_at <= ? ORDER BY decided_at LIMIT ?`
	selectDecision  = `SELECT event FROM decisions WHERE order_id = ?`
	selectUndecided = `SELECT id, user_id, total_cents, items FROM orders
		WHERE status = 'PENDING' AND created_at <= ? ORDER BY id LIMIT ?`
)

// decide brings an order to the end that an event says, and writes down that
// it did: both or nothing. Whoever decides first has decided; the others are
// given the event that he wrote. After an error nobody knows yet.
func (b *book) decide(ctx context.Context, end events.Event, now time.Time) (decided events.Event, err error) {
	status := ends[end.Type]
	if status == "" {
		return events.Event{}, fmt.Errorf("%s is no end of an order", end.Type)
	}
	payload, err := end.Encode()
	if err != nil {
		return events.Event{}, err
	}
	late := false
	err = b.db.Write(ctx, func(tx *store.Tx) error {
		changed, err := tx.ExecEach(endOrder, [][]any{{string(status), now.UnixMicro(), end.OrderID}})
		if err != nil {
			return err
		}
		if late = changed[0] == 0; late {
			return nil
		}
		if err := tx.Defer(insertDecision, end.OrderID, string(payload), now.UnixMicro()); err != nil {
			return err
		}
		return beforeDecision.Hit(ctx)
	})
	if err == nil && late {
		return b.decision(ctx, end.OrderID)
	}
	if err == nil {
		err = afterDecision.Hit(ctx)
	}
	if err != nil {
		return events.Event{}, fmt.Errorf("decide about order %s: %w", end.OrderID, err)
	}
	return end, nil
}

// decision reads how an order was decided; the error is sql.ErrNoRows if it
// was not.
func (b *book) decision(ctx context.Context, orderID string) (events.Event, error) {
	var payload string
	if err := b.db.QueryRow(ctx, selectDecision, orderID).Scan(&payload); err != nil {
		return events.Event{}, fmt.Errorf("find the decision about order %s: %w", orderID, err)
	}
	return events.Decode([]byte(payload))
}

// settled notes that everybody knows of a decision.
func (b *book) settled(ctx context.Context, orderID string, now time.Time) error {
	if err := beforeSettled.Hit(ctx); err != nil {
		return err
	}
	err := b.db.Write(ctx, func(tx *store.Tx) error { return tx.Defer(settleDecision, now.UnixMicro(), orderID) })
	if err != nil {
		return fmt.Errorf("settle order %s: %w", orderID, err)
	}
	return nil
}

// unsettled are decisions, made before a time, that somebody was not told of
// yet; at most n.
func (b *book) unsettled(ctx context.Context, before time.Time, n int) ([]events.Event, error) {
	rows, err := b.db.Query(ctx, selectUnsettled, before.UnixMicro(), n)
	if err != nil {
		return nil, fmt.Errorf("find unsettled decisions: %w", err)
	}
	defer rows.Close()
	var found []events.Event
	for rows.Next() {
		var payload string
		if err := rows.Scan(&payload); err != nil {
			return nil, fmt.Errorf("find unsettled decisions: %w", err)
		}
		e, err := events.Decode([]byte(payload))
		if err != nil {
			return nil, fmt.Errorf("find unsettled decisions: %w", err)
		}
		found = append(found, e)
	}
	return found, rows.Err()
}

// undecided are orders, placed before a time, that nobody has decided about,
// as the events that call them off; at most n.
func (b *book) undecided(ctx context.Context, before time.Time, n int) ([]events.Event, error) {
	rows, err := b.db.Query(ctx, selectUndecided, before.UnixMicro(), n)
	if err != nil {
		return nil, fmt.Errorf("find undecided orders: %w", err)
	}
	defer rows.Close()
	var found []events.Event
	for rows.Next() {
		var o events.Event
		var items string
		if err := rows.Scan(&o.OrderID, &o.UserID, &o.Total, &items); err != nil {
			return nil, fmt.Errorf("find undecided orders: %w", err)
		}
		if err := json.Unmarshal([]byte(items), &o.Items); err != nil {
			return nil, fmt.Errorf("items of order %s: %w", o.OrderID, err)
		}
		if o, err = decline(o, "its coordinator did not come to a decision"); err != nil {
			return nil, err
		}
		found = append(found, o)
	}
	return found, rows.Err()
}

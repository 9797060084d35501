package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Message is one event that the service has promised to publish: a row of the
// outbox, written in the same transaction as what the event tells of.
type Message struct {
	ID      int64 // its place in the order of commits; given by the database
	EventID string
	Topic   string
	Key     string
	Payload []byte
	// Traceparent is the span that wrote the event, as W3C Trace Context
	// writes it, so that whoever publishes it, and however much later,
	// continues that trace; "" if there is none.
	Traceparent string
}

// Enqueue promises to publish m. An event that is already there is an error,
// of Enqueue or of Write.
func (tx *Tx) Enqueue(m Message) error {
	if m.EventID == "" || m.Topic == "" {
		return errors.New("outbox: an event needs an id and a topic")
	}
	if m.Payload == nil {
		m.Payload = []byte{} // nil would be NULL
	}
	if err := tx.open(); err != nil {
		return err
	}
	if err := tx.note(tx.s.enqueue(m, time.Now().UnixMicro())); err != nil {
		return fmt.Errorf("outbox: %w", err)
	}
	tx.enqueued = true
	return nil
}

// Pending is what is promised and not yet published, oldest first.
//
// In a file, rows are numbered in the order in which they were committed,
// because there is one writer at a time: no row ever appears behind one that
// was already seen. On a server transactions that run side by side may commit
// in another order than that of their numbers, so nobody must remember where
// it was: what is not marked is pending, however late it appears. The order
// within a key holds there too, as long as a transaction that tells of
// something has locked or changed the row of it first: rows are numbered at
// the end of a transaction, so what comes after a lock comes with a higher
// number, and whoever sees it sees what came before.
func (db *DB) Pending(ctx context.Context, limit int) ([]Message, error) {
	return db.pending(ctx, selectPending, limit)
}

// PendingIn is what of it lies in some lanes.
func (db *DB) PendingIn(ctx context.Context, lanes []int, limit int) ([]Message, error) {
	switch {
	case len(lanes) == 0:
		return nil, nil
	case len(lanes) >= Lanes:
		return db.Pending(ctx, limit)
	}
	args := make([]any, Lanes, Lanes+1)
	for i := range args { // filled up with the last one
		args[i] = lanes[min(i, len(lanes)-1)]
	}
	return db.pending(ctx, selectPendingIn, append(args, limit)...)
}

const selectPending = `SELECT id, event_id, topic, key, payload, COALESCE(traceparent, '') FROM outbox
	WHERE published_at IS NULL ORDER BY id LIMIT ?`

var selectPendingIn = `SELECT id, event_id, topic, key, payload, COALESCE(traceparent, '') FROM outbox
	WHERE published_at IS NULL AND lane IN (?` + strings.Repeat(", ?", Lanes-1) + `) ORDER BY id LIMIT ?`

func (db *DB) pending(ctx context.Context, q string, args ...any) ([]Message, error) {
	rows, err := db.Query(ctx, q, args...)
	if err != nil {
		return nil, fmt.Errorf("outbox: %w", err)
	}
	defer rows.Close()
	var pending []Message
	for rows.Next() {
		var m Message
		if err := rows.Scan(&m.ID, &m.EventID, &m.Topic, &m.Key, &m.Payload, &m.Traceparent); err != nil {
			return nil, fmt.Errorf("outbox: %w", err)
		}
		pending = append(pending, m)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("outbox: %w", err)
	}
	return pending, nil
}

// MarkPublished notes that the rows with these ids reached their topic.
func (db *DB) MarkPublished(ctx context.Context, ids []int64) error {
	if len(ids) == 0 {
		return nil
	}
	now := time.Now().UnixMicro()
	err := db.Write(ctx, func(tx *Tx) error { return tx.note(tx.s.markPublished(ids, now)) })
	if err != nil {
		return fmt.Errorf("outbox: %w", err)
	}
	return nil
}

// Wake carries a token after this process committed outbox rows. Rows of
// other processes do not wake: whoever publishes for others looks by itself
// too.
func (db *DB) Wake() <-chan struct{} { return db.wake }

// publishedWithin is how long AwaitPublished waits at the most.
const publishedWithin = time.Second

// AwaitPublished waits until the events that are in the outbox now are
// published, by the relay of this process or of another. It gives up soon,
// without an error: while the broker is away the outbox keeps them, and who
// starts next publishes them.
func (db *DB) AwaitPublished(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, publishedWithin)
	defer cancel()
	var newest int64
	if err := db.QueryRow(ctx, `SELECT COALESCE(MAX(id), 0) FROM outbox`).Scan(&newest); err != nil {
		return
	}
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for {
		oldest, err := db.Pending(ctx, 1)
		if err != nil || len(oldest) == 0 || oldest[0].ID > newest {
			return
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return
		}
	}
}

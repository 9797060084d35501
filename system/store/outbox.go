package store

import (
	"context"
	"database/sql"
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

// Enqueue promises to publish m. An event that is already there is an error.
func (tx *Tx) Enqueue(m Message) error {
	if m.EventID == "" || m.Topic == "" {
		return errors.New("outbox: an event needs an id and a topic")
	}
	payload := m.Payload
	if payload == nil {
		payload = []byte{} // nil would be NULL
	}
	traceparent := sql.NullString{String: m.Traceparent, Valid: m.Traceparent != ""}
	_, err := tx.Exec(`INSERT INTO outbox (event_id, topic, key, payload, created_at, traceparent) VALUES (?, ?, ?, ?, ?, ?)`,
		m.EventID, m.Topic, m.Key, payload, time.Now().UnixMicro(), traceparent)
	if err != nil {
		return fmt.Errorf("outbox: event %s: %w", m.EventID, err)
	}
	tx.enqueued = true
	return nil
}

// Pending is what is promised and not yet published, oldest first. Rows are
// numbered in the order in which they were committed, whichever process wrote
// them, because there is one writer at a time: no row ever appears behind one
// that was already seen.
func (db *DB) Pending(ctx context.Context, limit int) ([]Message, error) {
	rows, err := db.Query(ctx, `SELECT id, event_id, topic, key, payload, COALESCE(traceparent, '') FROM outbox
		WHERE published_at IS NULL ORDER BY id LIMIT ?`, limit)
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

// markSize is how many rows one statement marks.
const markSize = 64

var markPublished = `UPDATE outbox SET published_at = ? WHERE published_at IS NULL
	AND id IN (?` + strings.Repeat(", ?", markSize-1) + `)`

// MarkPublished notes that the rows with these ids reached their topic.
func (db *DB) MarkPublished(ctx context.Context, ids []int64) error {
	if len(ids) == 0 {
		return nil
	}
	now := time.Now().UnixMicro()
	err := db.Write(ctx, func(tx *Tx) error {
		for first := 0; first < len(ids); first += markSize {
			args := []any{now}
			for i := range markSize {
				// The last statement is filled up with its last id.
				args = append(args, ids[min(first+i, len(ids)-1)])
			}
			if _, err := tx.Exec(markPublished, args...); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("outbox: %w", err)
	}
	return nil
}

// Wake carries a token after this process committed outbox rows. Rows of
// other processes do not wake: whoever publishes for all looks by itself too.
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

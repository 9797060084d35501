package bus

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

const (
	relayBatch = 256 // rows per publish
	// relayPace is the least time between rounds that found something: each
	// costs a look, a request and a commit, however few rows it has.
	relayPace = 16 * time.Millisecond
	relayPoll = 10 * time.Millisecond // for rows that other processes added: one look costs some 50 us
)

// Outgoing is one row of an outbox.
type Outgoing struct {
	ID                  int64
	EventID, Topic, Key string
	Payload             []byte
	Traceparent         string // the span that wrote the row, "" if none did
}

// Row is any row of an outbox that has the fields of Outgoing, so that the
// store needs to know nothing of the bus.
type Row interface {
	~struct {
		ID                  int64
		EventID, Topic, Key string
		Payload             []byte
		Traceparent         string
	}
}

// Outbox is what a relay needs of a database; *store.DB has it.
type Outbox[R Row] interface {
	// Lease blocks until this process alone may relay. held ends when it may
	// no more.
	Lease(ctx context.Context, name string) (held context.Context, release func(), err error)
	// Pending returns unpublished rows, oldest first.
	Pending(ctx context.Context, limit int) ([]R, error)
	MarkPublished(ctx context.Context, ids []int64) error
	// Wake is signalled after a commit of this process that added rows.
	Wake() <-chan struct{}
}

// RelayConfig says how RunRelay publishes.
type RelayConfig struct {
	Publisher *Publisher
	Points    RelayPoints
	Log       *slog.Logger // may be nil
}

// RunRelay publishes what is in an outbox, oldest first, until ctx ends. Of
// all processes with the same database one relays, the others stand by: two
// would break the order of a key.
//
// A row is marked only after the broker has acknowledged it, so every row is
// published at least once, and again after a crash in between. What fails is
// tried again for ever. The error is nil after ctx ended.
func RunRelay[R Row](ctx context.Context, box Outbox[R], cfg RelayConfig) error {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	log := cfg.Log
	for {
		held, release, err := box.Lease(ctx, "relay")
		if ctx.Err() != nil {
			if err == nil {
				release()
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("lease the outbox: %w", err)
		}
		log.Info("relaying the outbox")
		relayWhile(held, box, cfg)
		release()
		if ctx.Err() == nil {
			log.Warn("the lease of the outbox is lost")
		}
	}
}

// relayWhile publishes until held ends. For a moment after it has, another
// process may relay the same rows: each of the two keeps the order of a key,
// so what comes first of each row does too.
func relayWhile[R Row](held context.Context, box Outbox[R], cfg RelayConfig) {
	log := cfg.Log
	poll := time.NewTicker(relayPoll)
	defer poll.Stop()
	failing := false
	for held.Err() == nil {
		began := time.Now()
		n, err := relay(held, box, cfg)
		switch {
		case held.Err() != nil:
		case err != nil:
			if !failing {
				log.Warn("relay the outbox", "error", err)
			}
			failing = true
			sleep(held, retryPause)
		case failing:
			log.Info("relaying the outbox again")
			failing = false
		case n == relayBatch: // there is more
		case n > 0:
			sleep(held, relayPace-time.Since(began))
		default:
			select {
			case <-box.Wake():
			case <-poll.C:
			case <-held.Done():
			}
		}
	}
}

// relay publishes one batch and returns how many rows it had.
func relay[R Row](ctx context.Context, box Outbox[R], cfg RelayConfig) (int, error) {
	rows, err := box.Pending(ctx, relayBatch)
	if err != nil || len(rows) == 0 {
		return 0, err
	}
	msgs := make([]Message, len(rows))
	ids := make([]int64, len(rows))
	for i := range rows {
		row := Outgoing(rows[i])
		msgs[i] = Message{Topic: row.Topic, Key: row.Key, Value: row.Payload, Headers: Traced(row.Traceparent)}
		ids[i] = row.ID
	}
	if err := cfg.Points.BeforePublish.Hit(ctx); err != nil {
		return 0, err
	}
	if err := cfg.Publisher.Publish(ctx, msgs...); err != nil {
		return 0, err
	}
	if err := cfg.Points.AfterPublish.Hit(ctx); err != nil {
		return 0, err
	}
	// What is published is marked even if ctx just ended: left unmarked, it
	// would be published twice.
	mark, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTimeout)
	defer cancel()
	if err := box.MarkPublished(mark, ids); err != nil {
		return 0, fmt.Errorf("mark %d rows as published: %w", len(ids), err)
	}
	return len(rows), cfg.Points.AfterMark.Hit(ctx)
}

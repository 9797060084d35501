package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// scribeLimit is how long one transaction may take: a server that stands
	// still must not hold its callers for ever.
	scribeLimit = 30 * time.Second
	// scribeTries is how often a transaction is tried that the server ended
	// for the sake of another one.
	scribeTries = 10
)

// scribe is one of the workers that write to a server. It takes who waits into
// one transaction, without savepoints: each would be two round trips. That all
// of them go well is nearly always so. If one does not, all of it is undone,
// and each has a transaction of its own.
type scribe struct {
	queue *queue
	pool  *sql.DB
	wake  chan struct{}
	// alone is set once somebody locked rows: then each caller has its own
	// transaction, because the order in which one locks rows keeps waits from
	// closing a circle only if nobody else's locks are mixed in.
	alone *atomic.Bool
	conn  *sql.Conn // nil after a failure, until the next transaction
}

// turn serves whoever waits now.
func (w *scribe) turn() {
	size := batchSize
	if w.alone.Load() {
		size = 1
	}
	var batch []*request
	for _, r := range w.queue.take(size) {
		if r.claim() {
			batch = append(batch, r)
		}
	}
	if len(batch) == 0 {
		return
	}
	err := w.commit(batch)
	if err == nil || len(batch) == 1 || errors.Is(err, ErrUnknown) || errors.As(err, new(*lostError)) {
		for _, r := range batch {
			r.answer <- err
		}
		return
	}
	for i := range batch {
		batch[i].answer <- w.commit(batch[i : i+1])
	}
}

// commit runs batch in one transaction, again if the server asks for that.
func (w *scribe) commit(batch []*request) error {
	for try := 1; ; try++ {
		err := w.transact(batch)
		var refused *pgconn.PgError
		var lost *lostError
		switch {
		case errors.As(err, &lost) && try == 1:
			// It may be only the connection that went stale with a server
			// that was started again.
		case errors.As(err, &refused) && (refused.Code == "40001" || refused.Code == "40P01") && len(batch) == 1 && try < scribeTries:
			time.Sleep(rand.N(time.Duration(try) * time.Millisecond))
		default:
			return err
		}
	}
}

// transact runs batch in one transaction. A *lostError says that the
// connection broke before the commit was sent.
func (w *scribe) transact(batch []*request) error {
	ctx, cancel := context.WithTimeout(context.Background(), scribeLimit)
	defer cancel()
	if w.conn == nil {
		conn, err := w.pool.Conn(ctx)
		if err != nil {
			return &lostError{err}
		}
		w.conn = conn
	}
	s := &dialogue{ctx: ctx, conn: w.conn, crowd: len(batch) > 1, alone: w.alone, pool: w.pool}
	var enqueued bool
	for _, r := range batch {
		tx := &Tx{s: s}
		if err := tx.call(r.fn); err != nil {
			return w.undo(s, err)
		}
		enqueued = enqueued || tx.enqueued
	}
	if err := s.commit(); err != nil {
		return w.undo(s, err)
	}
	w.queue.commits.Add(1)
	w.queue.writes.Add(uint64(len(batch)))
	if enqueued {
		notify(w.wake)
	}
	return nil
}

// undo ends the transaction of s, with the connection where that is not
// certain, and returns err for what it means to the callers.
func (w *scribe) undo(s *dialogue, err error) error {
	if errors.Is(err, ErrUnknown) {
		w.disconnect()
		return err
	}
	if undo := s.rollback(); undo != nil {
		w.disconnect()
		if s.broken {
			return &lostError{err}
		}
	}
	return err
}

// disconnect drops the connection with the transaction in it.
func (w *scribe) disconnect() {
	if w.conn == nil {
		return
	}
	_ = w.conn.Raw(func(any) error { return driver.ErrBadConn }) // this very error: it keeps the connection out of the pool
	w.conn.Close()
	w.conn = nil
}

// unknown is the error of a commit without an answer.
func unknown(cause error) error { return fmt.Errorf("%w: %w", ErrUnknown, cause) }

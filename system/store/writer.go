package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"
)

// batchSize bounds how many callers share a commit, and so how long one
// process may keep the others out.
const batchSize = 256

// Write runs fn in a transaction and returns nil once its effects are on
// disk. Callers that come at the same time share the transaction, each in a
// savepoint: if fn returns an error or panics, that is the error of Write and
// only fn's own effects are undone. An error of the commit itself, such as a
// full disk, is the error of every caller in it.
//
// If ctx ends before fn has begun, fn never runs and Write returns the cause.
// From then on Write waits for the outcome, so that it is never unknown.
//
// fn runs on the writer's goroutine and everyone waits for it: it must do
// nothing but use tx, and must not keep tx.
func (db *DB) Write(ctx context.Context, fn func(*Tx) error) error {
	r := &request{fn: fn, answer: make(chan error, 1)}
	if !db.writer.enqueue(r) {
		return ErrClosed
	}
	select {
	case err := <-r.answer:
		return err
	case <-ctx.Done():
		if r.claim() {
			return context.Cause(ctx)
		}
		return <-r.answer
	}
}

// Stats counts what a DB has committed since it was opened.
type Stats struct {
	Commits uint64 // transactions, each one flush
	Writes  uint64 // calls of Write in them
}

// Stats says how well callers share commits.
func (db *DB) Stats() Stats {
	return Stats{Commits: db.writer.commits.Load(), Writes: db.writer.writes.Load()}
}

// request is one call of Write.
type request struct {
	fn      func(*Tx) error
	claimed atomic.Bool // by the writer, to run it, or by its caller, to drop it
	answer  chan error
}

func (r *request) claim() bool { return r.claimed.CompareAndSwap(false, true) }

// writer is the only user of the only connection that changes the file.
type writer struct {
	pool  *sql.DB
	turn  *Turnstile
	conn  *sql.Conn // nil after a failure, until the next batch
	stmts map[string]*sql.Stmt
	wake  chan struct{}

	mu      sync.Mutex
	queue   []*request
	stopped bool
	more    chan struct{} // holds a token while the queue may have something

	commits, writes atomic.Uint64
}

func (w *writer) enqueue(r *request) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped {
		return false
	}
	w.queue = append(w.queue, r)
	notify(w.more)
	return true
}

// stop is true for the first who calls it.
func (w *writer) stop() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	first := !w.stopped
	w.stopped = true
	notify(w.more)
	return first
}

// take removes the head of the queue.
func (w *writer) take() []*request {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := min(len(w.queue), batchSize)
	batch := w.queue[:n:n]
	w.queue = w.queue[n:]
	return batch
}

// waiting says whether there is work, and whether there may be more.
func (w *writer) waiting() (work, open bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.queue) > 0, !w.stopped
}

// run commits batches until stop is called and the queue is empty.
func (w *writer) run() {
	for {
		work, open := w.waiting()
		switch {
		case work:
			w.turnOnce()
		case open:
			<-w.more
		default:
			return
		}
	}
}

// turnOnce takes a turn at the file. The batch is taken only when the lock
// is held: whoever came during the wait rides along, whoever gave up is not
// waited for.
func (w *writer) turnOnce() {
	if err := w.turn.Lock(); err != nil {
		fail(w.take(), err)
		return
	}
	w.commit(w.take())
	if err := w.turn.Unlock(); err != nil {
		panic(err) // unlocking a file that is open does not fail
	}
}

func fail(batch []*request, err error) {
	for _, r := range batch {
		if r.claim() {
			r.answer <- err
		}
	}
}

// commit runs batch in one transaction and answers all of it.
func (w *writer) commit(batch []*request) {
	if err := w.exec("BEGIN IMMEDIATE"); err != nil {
		w.disconnect()
		fail(batch, fmt.Errorf("begin: %w", err))
		return
	}
	held := make([]*request, 0, len(batch)) // answered by the commit
	var wake bool
	for i, r := range batch {
		if !r.claim() {
			continue
		}
		enqueued, err := w.savepoint(r)
		var lost *lostError
		if errors.As(err, &lost) {
			w.disconnect()
			r.answer <- err
			for _, h := range held {
				h.answer <- err
			}
			fail(batch[i+1:], err)
			return
		}
		if err != nil {
			r.answer <- err
			continue
		}
		wake = wake || enqueued
		held = append(held, r)
	}
	err := w.exec("COMMIT")
	if err != nil {
		err = fmt.Errorf("commit: %w", err)
		w.disconnect()
	} else {
		w.commits.Add(1)
		w.writes.Add(uint64(len(held)))
		if wake {
			notify(w.wake)
		}
	}
	for _, r := range held {
		r.answer <- err
	}
}

// lostError says that the whole transaction is gone.
type lostError struct{ cause error }

func (e *lostError) Error() string { return "transaction lost: " + e.cause.Error() }
func (e *lostError) Unwrap() error { return e.cause }

// savepoint runs one caller. A *lostError is the error of the batch, any
// other is the caller's own.
func (w *writer) savepoint(r *request) (enqueued bool, err error) {
	if err := w.exec("SAVEPOINT caller"); err != nil {
		return false, &lostError{err}
	}
	tx := &Tx{w: w}
	err = tx.call(r.fn)
	if tx.lost != nil {
		return false, &lostError{tx.lost}
	}
	if err != nil {
		if undo := w.exec("ROLLBACK TO caller"); undo != nil {
			return false, &lostError{errors.Join(undo, err)}
		}
	}
	if end := w.exec("RELEASE caller"); end != nil {
		return false, &lostError{errors.Join(end, err)}
	}
	return tx.enqueued, err
}

// call contains what fn does: a panic must not take the other callers along.
func (tx *Tx) call(fn func(*Tx) error) (err error) {
	defer func() {
		tx.over = true
		if v := recover(); v != nil {
			err = fmt.Errorf("panic in a write: %v\n%s", v, debug.Stack())
		}
	}()
	return fn(tx)
}

// ends reports whether err means that SQLite may have rolled back the whole
// transaction by itself.
func ends(err error) bool {
	var e *sqlite.Error
	if errors.As(err, &e) {
		switch e.Code() & 0xff {
		case lib.SQLITE_FULL, lib.SQLITE_IOERR, lib.SQLITE_NOMEM, lib.SQLITE_BUSY,
			lib.SQLITE_INTERRUPT, lib.SQLITE_CORRUPT, lib.SQLITE_NOTADB, lib.SQLITE_CANTOPEN,
			lib.SQLITE_READONLY, lib.SQLITE_PROTOCOL:
			return true
		}
		return false
	}
	return errors.Is(err, driver.ErrBadConn)
}

// connect opens the connection. Called with the lock held, because the first
// connection after a crash repairs the log.
func (w *writer) connect(ctx context.Context) error {
	conn, err := w.pool.Conn(ctx)
	if err != nil {
		return err
	}
	w.conn, w.stmts = conn, map[string]*sql.Stmt{}
	return nil
}

// disconnect drops the connection with the transaction in it: after a failure
// nobody knows its state, and opening another costs less than finding out.
func (w *writer) disconnect() {
	if w.conn == nil {
		return
	}
	for _, stmt := range w.stmts {
		stmt.Close()
	}
	_ = w.conn.Raw(func(any) error { return driver.ErrBadConn }) // this very error: it keeps the connection out of the pool
	w.conn.Close()
	w.conn, w.stmts = nil, nil
}

func (w *writer) close() error {
	w.disconnect()
	return errors.Join(w.pool.Close(), w.turn.Close())
}

// stmt prepares q once per connection.
func (w *writer) stmt(q string) (*sql.Stmt, error) {
	if stmt := w.stmts[q]; stmt != nil {
		return stmt, nil
	}
	if w.conn == nil {
		if err := w.connect(context.Background()); err != nil {
			return nil, err
		}
	}
	stmt, err := w.conn.PrepareContext(context.Background(), q)
	if err != nil {
		return nil, err
	}
	w.stmts[q] = stmt
	return stmt, nil
}

func (w *writer) exec(q string) error {
	stmt, err := w.stmt(q)
	if err != nil {
		return err
	}
	_, err = stmt.Exec()
	return err
}

// notify leaves a token in c unless one is there.
func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

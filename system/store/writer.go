package store

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"
)

// writer is the only user of the only connection that changes the file.
type writer struct {
	queue *queue
	pool  *sql.DB
	turn  *Turnstile
	conn  *sql.Conn // nil after a failure, until the next batch
	stmts map[string]*sql.Stmt
	wake  chan struct{}

	began  time.Time // when the last commit began to gather
	shared bool      // it had more than one caller
}

// commitPace is the least time between two commits while callers come side by
// side: a commit costs a flush and some 150 us of processor, whether it has one
// caller or ten. Who comes alone, or after a quiet while, is never held up.
const commitPace = 4 * time.Millisecond

// turnOnce takes a turn at the file. The batch is taken only when the lock
// is held: whoever came during the wait rides along, whoever gave up is not
// waited for.
func (w *writer) turnOnce() {
	if w.shared {
		time.Sleep(commitPace - time.Since(w.began))
	}
	w.began = time.Now()
	if err := w.turn.Lock(); err != nil {
		fail(w.queue.take(batchSize), err)
		return
	}
	batch := w.queue.take(batchSize)
	w.shared = len(batch) > 1
	w.commit(batch)
	if err := w.turn.Unlock(); err != nil {
		panic(err) // unlocking a file that is open does not fail
	}
}

// commit runs batch in one transaction and answers all of it. That everybody
// fares well is nearly always so, and then savepoints would only cost: two
// statements, and a copy of each page that a caller is the first to change. So
// there are none at first. If somebody fails all is undone, he has his answer,
// and the others do it again with a savepoint for each.
func (w *writer) commit(batch []*request) {
	run := make([]*request, 0, len(batch))
	for _, r := range batch {
		if r.claim() {
			run = append(run, r)
		}
	}
	own, err := w.attempt(run, false)
	if errors.Is(err, errUndone) {
		failed := slices.IndexFunc(own, func(err error) bool { return err != nil })
		run[failed].answer <- own[failed]
		if run = slices.Delete(run, failed, failed+1); len(run) == 0 {
			return
		}
		own, err = w.attempt(run, true)
	}
	for i, r := range run {
		r.answer <- cmp.Or(own[i], err)
	}
}

// errUndone says that all was undone because of one caller.
var errUndone = errors.New("undone")

// attempt runs batch in one transaction. own are the errors of callers, err is
// that of all.
func (w *writer) attempt(batch []*request, savepoints bool) (own []error, err error) {
	own = make([]error, len(batch))
	if err := w.run("BEGIN IMMEDIATE"); err != nil {
		w.disconnect()
		return own, fmt.Errorf("begin: %w", err)
	}
	var held uint64
	var wake bool
	for i, r := range batch {
		tx := &Tx{s: w}
		own[i], err = w.call(tx, r.fn, savepoints)
		switch {
		case err != nil:
			w.disconnect()
			return own, &lostError{err}
		case own[i] == nil:
			held++
			wake = wake || tx.enqueued
		case !savepoints:
			return own, errUndone
		}
	}
	if err := w.run("COMMIT"); err != nil {
		w.disconnect()
		return own, fmt.Errorf("commit: %w", err)
	}
	w.queue.commits.Add(1)
	w.queue.writes.Add(held)
	if wake {
		notify(w.wake)
	}
	return own, nil
}

// call runs one caller. If it fails, which is own, it is undone, without a
// savepoint with all that was before. After err the transaction is gone.
func (w *writer) call(tx *Tx, fn func(*Tx) error, savepoint bool) (own, err error) {
	if savepoint {
		if err := w.run("SAVEPOINT caller"); err != nil {
			return nil, err
		}
	}
	own = tx.call(fn)
	if tx.failed != nil && ends(tx.failed) {
		return nil, tx.failed
	}
	if own != nil {
		undo := "ROLLBACK"
		if savepoint {
			undo += " TO caller"
		}
		if err := w.run(undo); err != nil {
			return nil, errors.Join(err, own)
		}
	}
	if savepoint {
		err = w.run("RELEASE caller")
	}
	return own, err
}

// lostError says that the whole transaction is gone.
type lostError struct{ cause error }

func (e *lostError) Error() string { return "transaction lost: " + e.cause.Error() }
func (e *lostError) Unwrap() error { return e.cause }

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
	stmt, err := w.conn.PrepareContext(context.Background(), file{}.sql(q))
	if err != nil {
		return nil, err
	}
	w.stmts[q] = stmt
	return stmt, nil
}

func (w *writer) run(q string) error {
	_, err := w.exec(q, nil)
	return err
}

func (w *writer) exec(q string, args []any) (sql.Result, error) {
	stmt, err := w.stmt(q)
	if err != nil {
		return nil, err
	}
	return stmt.Exec(args...)
}

func (w *writer) execEach(q string, args [][]any) ([]int64, error) {
	changed := make([]int64, len(args))
	for i := range args {
		res, err := w.exec(q, args[i])
		if err != nil {
			return nil, err
		}
		if changed[i], err = res.RowsAffected(); err != nil {
			return nil, err
		}
	}
	return changed, nil
}

// later is now: there is no way to a file that could be saved.
func (w *writer) later(q string, args []any) error {
	_, err := w.exec(q, args)
	return err
}

func (w *writer) query(q string, args []any) (*sql.Rows, error) {
	stmt, err := w.stmt(q)
	if err != nil {
		return nil, err
	}
	return stmt.Query(args...)
}

func (w *writer) row(q string, args []any) *sql.Row {
	stmt, err := w.stmt(q)
	switch {
	case err == nil:
		return stmt.QueryRow(args...)
	case w.conn == nil:
		return w.refuse(err)
	default:
		return w.conn.QueryRowContext(context.Background(), q, args...) // carries the same error
	}
}

func (w *writer) refuse(err error) *sql.Row {
	return w.pool.QueryRowContext(refusal{context.Background(), err}, "")
}

func (w *writer) enqueue(m Message, at int64) error {
	var traceparent any // NULL
	if m.Traceparent != "" {
		traceparent = m.Traceparent
	}
	err := w.later(`INSERT INTO outbox (event_id, topic, key, payload, created_at, traceparent, lane) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		[]any{m.EventID, m.Topic, m.Key, m.Payload, at, traceparent, laneOf(m.Key)})
	if err != nil {
		return fmt.Errorf("event %s: %w", m.EventID, err)
	}
	return nil
}

func (w *writer) firstTimes(consumer string, eventIDs []string) ([]bool, error) {
	first := make([]bool, len(eventIDs))
	for i, id := range eventIDs {
		n, err := w.execEach(`INSERT INTO inbox (consumer, event_id) VALUES (?, ?)
			ON CONFLICT (consumer, event_id) DO NOTHING`, [][]any{{consumer, id}})
		if err != nil {
			return nil, fmt.Errorf("event %s: %w", id, err)
		}
		first[i] = n[0] == 1
	}
	return first, nil
}

// lockedSize is how many rows one statement reads.
const lockedSize = 32

// lockRows has nothing to lock: this is the only writer.
func (w *writer) lockRows(table, key, column string, keys []string) (map[string]int64, error) {
	q := `SELECT ` + key + `, ` + column + ` FROM ` + table + ` WHERE ` + key + ` IN (?` + strings.Repeat(", ?", lockedSize-1) + `)`
	held := make(map[string]int64, len(keys))
	for first := 0; first < len(keys); first += lockedSize {
		args := make([]any, lockedSize)
		for i := range args { // filled up with the last one
			args[i] = keys[min(first+i, len(keys)-1)]
		}
		if err := w.readInto(held, q, args); err != nil {
			return nil, err
		}
	}
	return held, nil
}

// readInto reads rows of a name and a number.
func (w *writer) readInto(held map[string]int64, q string, args []any) error {
	rows, err := w.query(q, args)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var key string
		var value int64
		if err := rows.Scan(&key, &value); err != nil {
			return err
		}
		held[key] = value
	}
	return rows.Err()
}

// exclude has nothing to do either.
func (*writer) exclude(string) error { return nil }
func (*writer) share(string) error   { return nil }

// markSize is how many rows one statement marks.
const markSize = 64

var markPublished = `UPDATE outbox SET published_at = ? WHERE published_at IS NULL
	AND id IN (?` + strings.Repeat(", ?", markSize-1) + `)`

func (w *writer) markPublished(ids []int64, at int64) error {
	for first := 0; first < len(ids); first += markSize {
		args := []any{at}
		for i := range markSize {
			// The last statement is filled up with its last id.
			args = append(args, ids[min(first+i, len(ids)-1)])
		}
		if err := w.later(markPublished, args); err != nil {
			return err
		}
	}
	return nil
}

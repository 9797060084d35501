package store

import (
	"context"
	"database/sql"
	"errors"
)

// Tx is one caller's part of a transaction. It is good until the function
// that was given it returns, and for one goroutine.
//
// A statement that fails is the end of it: every other one fails with the same
// error, and so does Write. A file could go on where a server can't, so
// neither does.
type Tx struct {
	s        session
	over     bool
	enqueued bool  // an outbox row was written
	failed   error // what the first statement that failed said
}

// session is the connection that a transaction runs on, and what SQLite and
// PostgreSQL do differently there.
type session interface {
	exec(q string, args []any) (sql.Result, error)
	execEach(q string, args [][]any) (changed []int64, err error)
	// later is exec for whom the result is of no use. A server may be told of
	// it with what comes next.
	later(q string, args []any) error
	query(q string, args []any) (*sql.Rows, error)
	row(q string, args []any) *sql.Row
	// refuse is a row that carries err.
	refuse(err error) *sql.Row

	enqueue(m Message, at int64) error
	firstTimes(consumer string, eventIDs []string) ([]bool, error)
	lockRows(table, key, column string, keys []string) (map[string]int64, error)
	markPublished(ids []int64, at int64) error
	// exclude keeps others out who say the same word, until the transaction
	// ends; share only those who exclude.
	exclude(word string) error
	share(word string) error
}

var errOver = errors.New("the transaction is over")

// refusal is a context that is over: a row asked for under it carries err.
type refusal struct {
	context.Context
	err error
}

var closed = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

func (refusal) Done() <-chan struct{} { return closed }
func (r refusal) Err() error          { return r.err }

// Exec runs a statement that returns no rows.
func (tx *Tx) Exec(q string, args ...any) (sql.Result, error) {
	if err := tx.open(); err != nil {
		return nil, err
	}
	res, err := tx.s.exec(q, args)
	return res, tx.note(err)
}

// ExecEach is Exec once for each of args, in order and all in one go, and
// returns how many rows each changed.
func (tx *Tx) ExecEach(q string, args [][]any) (changed []int64, err error) {
	if err := tx.open(); err != nil || len(args) == 0 {
		return nil, err
	}
	changed, err = tx.s.execEach(q, args)
	return changed, tx.note(err)
}

// Defer is Exec where nobody asks what came of it. A server is told of many
// such statements at once, with the next that has an answer or with the
// commit: then an error shows up there. They run in order, before all that
// comes after.
func (tx *Tx) Defer(q string, args ...any) error {
	if err := tx.open(); err != nil {
		return err
	}
	return tx.note(tx.s.later(q, args))
}

// Query reads, and sees what the transaction has written so far. The caller
// closes the rows before the next statement.
func (tx *Tx) Query(q string, args ...any) (*sql.Rows, error) {
	if err := tx.open(); err != nil {
		return nil, err
	}
	rows, err := tx.s.query(q, args)
	return rows, tx.note(err)
}

// QueryRow reads one row, and sees what the transaction has written so far.
func (tx *Tx) QueryRow(q string, args ...any) *sql.Row {
	if err := tx.open(); err != nil {
		return tx.s.refuse(err)
	}
	return tx.s.row(q, args)
}

// LockRows keeps others from changing the rows of table whose key is one of
// keys until the transaction ends, and returns what they have in column, an
// integer. Who changes rows that others change too locks them first: here they
// are locked in one order, and nobody who does so shares a transaction, so that
// nobody waits in a circle. Without it such a circle ends after the second that
// the server takes to see it, and one of those in it runs again. Others wait
// from here to the commit: what takes long is done before. In a file there is
// one writer, and nothing to lock.
//
// table, key and column go into the statement as they are.
func (tx *Tx) LockRows(table, key, column string, keys []string) (map[string]int64, error) {
	if err := tx.open(); err != nil || len(keys) == 0 {
		return nil, err
	}
	held, err := tx.s.lockRows(table, key, column, keys)
	return held, tx.note(err)
}

// Exclude keeps every transaction out that shares or excludes the same word,
// from here until this one ends: what those have written is seen by the next
// statement. In a file there is one writer, and nothing to do.
func (tx *Tx) Exclude(word string) error {
	if err := tx.open(); err != nil {
		return err
	}
	return tx.note(tx.s.exclude(word))
}

// Share lets others share the same word at the same time, and keeps those out
// who exclude it.
func (tx *Tx) Share(word string) error {
	if err := tx.open(); err != nil {
		return err
	}
	return tx.note(tx.s.share(word))
}

// open says why no statement may run any more.
func (tx *Tx) open() error {
	if tx.over {
		return errOver
	}
	return tx.failed
}

// note remembers the first error.
func (tx *Tx) note(err error) error {
	if err != nil && tx.failed == nil {
		tx.failed = err
	}
	return err
}

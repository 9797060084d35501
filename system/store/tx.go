package store

import (
	"context"
	"database/sql"
	"errors"
)

// Tx is one caller's part of a transaction. It is good until the function
// that was given it returns, and for one goroutine.
type Tx struct {
	w        *writer
	over     bool
	enqueued bool  // an outbox row was written
	lost     error // why the whole transaction is gone
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

// Exec runs a statement that returns no rows. A constraint that it breaks
// undoes this statement alone: the caller may handle the error and go on.
func (tx *Tx) Exec(q string, args ...any) (sql.Result, error) {
	stmt, err := tx.prepare(q)
	if err != nil {
		return nil, err
	}
	res, err := stmt.Exec(args...)
	return res, tx.note(err)
}

// Query reads, and sees what the transaction has written so far. The caller
// closes the rows.
func (tx *Tx) Query(q string, args ...any) (*sql.Rows, error) {
	stmt, err := tx.prepare(q)
	if err != nil {
		return nil, err
	}
	rows, err := stmt.Query(args...)
	return rows, tx.note(err)
}

// QueryRow reads one row, and sees what the transaction has written so far.
func (tx *Tx) QueryRow(q string, args ...any) *sql.Row {
	stmt, err := tx.prepare(q)
	switch {
	case err == nil:
		return stmt.QueryRow(args...)
	case tx.over || tx.lost != nil:
		return tx.w.pool.QueryRowContext(refusal{context.Background(), err}, q)
	default:
		return tx.w.conn.QueryRowContext(context.Background(), q, args...) // carries the same error
	}
}

func (tx *Tx) prepare(q string) (*sql.Stmt, error) {
	if tx.over {
		return nil, errOver
	}
	if tx.lost != nil {
		// SQLite would run the statement outside of any transaction.
		return nil, tx.lost
	}
	stmt, err := tx.w.stmt(q)
	return stmt, tx.note(err)
}

// note remembers an error that ends the transaction for everyone in it.
func (tx *Tx) note(err error) error {
	if err != nil && tx.lost == nil && ends(err) {
		tx.lost = err
	}
	return err
}

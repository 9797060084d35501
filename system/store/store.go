// Package store keeps a service's rows in one SQLite file.
package store

import (
	"context"
	"database/sql"
	"errors"
)

var errNotYet = errors.New("store: being built")

// Config says where a database lives.
type Config struct {
	Path string // the database file; its -wal, -shm and -lock files stand beside it
}

// DB is one database file, opened by one process.
type DB struct{ wake chan struct{} }

// Tx is one caller's part of a group commit.
type Tx struct{}

// Message is one outbox row.
type Message struct {
	ID      int64
	EventID string
	Topic   string
	Key     string
	Payload []byte
}

func Open(ctx context.Context, cfg Config) (*DB, error)            { return nil, errNotYet }
func (db *DB) Migrate(ctx context.Context, schema ...string) error { return errNotYet }
func (db *DB) Write(ctx context.Context, fn func(*Tx) error) error { return errNotYet }
func (db *DB) Query(ctx context.Context, q string, args ...any) (*sql.Rows, error) {
	return nil, errNotYet
}
func (db *DB) QueryRow(ctx context.Context, q string, args ...any) *sql.Row { return nil }
func (db *DB) Close() error                                                 { return nil }
func (db *DB) Pending(ctx context.Context, limit int) ([]Message, error)    { return nil, errNotYet }
func (db *DB) MarkPublished(ctx context.Context, ids []int64) error         { return errNotYet }
func (db *DB) Wake() <-chan struct{}                                        { return db.wake }
func (db *DB) Lease(ctx context.Context, name string) (release func(), err error) {
	return nil, errNotYet
}
func (tx *Tx) Exec(q string, args ...any) (sql.Result, error)   { return nil, errNotYet }
func (tx *Tx) Query(q string, args ...any) (*sql.Rows, error)   { return nil, errNotYet }
func (tx *Tx) QueryRow(q string, args ...any) *sql.Row          { return nil }
func (tx *Tx) Enqueue(m Message) error                          { return errNotYet }
func (tx *Tx) FirstTime(consumer, eventID string) (bool, error) { return false, errNotYet }

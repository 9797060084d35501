// Package store keeps a service's rows in one database: Open it, Migrate its
// schema, change it with Write, read it with Query. A database is a SQLite
// file or one on a PostgreSQL server, and nothing but the word that Open is
// given tells them apart: SQL is written once, with ? for each argument.
//
// The invariant is that what Write acknowledged is on disk. A commit is
// flushed before its callers are answered, and because a flush is dear, many
// callers share one. In a file they queue for one writer, which runs them one
// after the other; processes that share the file take turns through a
// Turnstile, so that none starves and a killed one holds up nobody.
// On a server a few connections take what has queued, and the server flushes
// for all of them at once.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
)

// readers is how many queries one process runs at once.
const readers = 4

// Errors that callers may have to tell apart.
var (
	// ErrClosed answers every use after Close.
	ErrClosed = errors.New("the database is closed")
	// ErrUnknown is in the error of a Write whose commit was sent and never
	// answered: it may stand or not. Every other error of Write means that it
	// does not. A file never loses an answer.
	ErrUnknown = errors.New("the outcome of the commit is not known")
)

// Config says where a database lives.
type Config struct {
	// Path is a file or the URL of a PostgreSQL database, postgres://...
	// A file is made if absent; its directory must be there, and what
	// belongs to it stands beside it under the same name with -wal, -shm,
	// .lock, .turn, .claims, .lanes and .<name>.lease appended. A database on a server must
	// be there.
	Path string
}

// DB is one database as one process sees it. Its methods may be called from
// any goroutine.
type DB struct {
	path   string
	queue  *queue
	ended  chan struct{} // closed when the queue is worked off for the last time
	leases leases
	claims claims
	lanes  lanes
	kind   kind

	reads *sql.DB
	mu    sync.Mutex
	stmts map[string]*sql.Stmt // of reads, by their SQL

	wake chan struct{}
}

// kind is what SQLite and PostgreSQL do differently.
type kind interface {
	// sql is q as this database takes it.
	sql(q string) string
	// schema is a statement that makes a table, as this database takes it.
	schema(statement string) string
	// close ends the connections that write.
	close() error
}

// leases are locks that die with whoever holds them.
type leases interface {
	lease(ctx context.Context, name string) (held context.Context, release func(), err error)
	close() error
}

// onServer says that a Path is a URL of PostgreSQL.
func onServer(path string) bool {
	return strings.HasPrefix(path, "postgres://") || strings.HasPrefix(path, "postgresql://")
}

// Open opens the database at cfg.Path. Several processes may open the same
// one at the same time. A server that does not answer yet is waited for, a
// while.
func Open(ctx context.Context, cfg Config) (*DB, error) {
	open := openFile
	if onServer(cfg.Path) {
		open = openServer
	}
	db, err := open(ctx, cfg.Path)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", Redact(cfg.Path), err)
	}
	return db, nil
}

// OpenReader opens the database at path for nothing but reading, by whoever
// looks at the books from outside. Each of its transactions sees one moment.
// The file or the database must be there.
func OpenReader(ctx context.Context, path string) (*sql.DB, error) {
	open := readFile
	if onServer(path) {
		open = readServer
	}
	db, err := open(path)
	if err == nil {
		if err = db.PingContext(ctx); err != nil {
			err = errors.Join(err, db.Close())
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", Redact(path), err)
	}
	return db, nil
}

// Close refuses further writes, waits until those already queued are
// answered, and lets go of the database. It waits as long as another process
// holds the write lock of a file.
func (db *DB) Close() error {
	if !db.queue.stop() {
		return ErrClosed
	}
	<-db.ended
	if err := errors.Join(db.reads.Close(), db.leases.close(), db.claims.close(), db.lanes.locks.close(), db.kind.close()); err != nil {
		return fmt.Errorf("close %s: %w", Redact(db.path), err)
	}
	return nil
}

// Query reads what is committed. The caller closes the rows.
func (db *DB) Query(ctx context.Context, q string, args ...any) (*sql.Rows, error) {
	stmt, err := db.read(q)
	if err != nil {
		return nil, err
	}
	return stmt.QueryContext(ctx, args...)
}

// QueryRow reads one row of what is committed.
func (db *DB) QueryRow(ctx context.Context, q string, args ...any) *sql.Row {
	stmt, err := db.read(q)
	if err != nil {
		return db.reads.QueryRowContext(ctx, db.kind.sql(q), args...) // carries the same error
	}
	return stmt.QueryRowContext(ctx, args...)
}

// read prepares q once. It ignores the caller's context, because the
// statement outlives the call.
func (db *DB) read(q string) (*sql.Stmt, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if stmt := db.stmts[q]; stmt != nil {
		return stmt, nil
	}
	stmt, err := db.reads.Prepare(db.kind.sql(q))
	if err != nil {
		return nil, err
	}
	db.stmts[q] = stmt
	return stmt, nil
}

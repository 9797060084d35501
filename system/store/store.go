// Package store keeps a service's rows in one SQLite file: Open it, Migrate
// its schema, change it with Write, read it with Query.
//
// The invariant is that what Write acknowledged is on disk. A commit is
// flushed before its callers are answered, and because a flush is dear, many
// callers share one: they queue for one writer, which runs each of them in a
// savepoint of its own. Processes that share the file take turns through a
// Turnstile, so that none starves and a killed one holds up nobody.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"

	_ "modernc.org/sqlite" // the driver, registered as "sqlite"
)

// readers is how many queries one process runs at once.
const readers = 4

// ErrClosed answers every use after Close.
var ErrClosed = errors.New("the database is closed")

// Config says where a database lives.
type Config struct {
	// Path is the database file. It is made if absent; its directory must
	// be there. The files that belong to it stand beside it under the same
	// name with -wal, -shm, .lock, .turn and .<name>.lease appended.
	Path string
}

// DB is one database file as one process sees it. Its methods may be called
// from any goroutine.
type DB struct {
	path   string
	writer *writer
	ended  chan struct{} // closed when the writer has answered its last caller

	reads *sql.DB
	mu    sync.Mutex
	stmts map[string]*sql.Stmt // of reads, by their SQL

	wake chan struct{}
}

// Open opens the database at cfg.Path, or makes it. Several processes may
// open the same file at the same time.
func Open(ctx context.Context, cfg Config) (*DB, error) {
	db, err := open(ctx, cfg.Path)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", cfg.Path, err)
	}
	return db, nil
}

func open(ctx context.Context, path string) (*DB, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	// SQLite says "unable to open database file" to every cause; the file
	// system knows better.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	f.Close()
	turn, err := OpenTurnstile(path)
	if err != nil {
		return nil, err
	}
	wake := make(chan struct{}, 1)
	w := &writer{pool: pool(path, 1, false), turn: turn, more: make(chan struct{}, 1), wake: wake}
	// The first connection of all makes the file a write-ahead log one,
	// which SQLite refuses to do while another process is at it.
	if err := turn.Lock(); err != nil {
		return nil, errors.Join(err, w.pool.Close(), turn.Close())
	}
	err = w.connect(ctx)
	if err := errors.Join(err, turn.Unlock()); err != nil {
		return nil, errors.Join(err, w.pool.Close(), turn.Close())
	}
	db := &DB{
		path:   path,
		writer: w,
		ended:  make(chan struct{}),
		reads:  pool(path, readers, true),
		stmts:  map[string]*sql.Stmt{},
		wake:   wake,
	}
	go func() {
		defer close(db.ended)
		w.run()
	}()
	return db, nil
}

// pool describes connections to path; it opens none yet.
func pool(path string, size int, readOnly bool) *sql.DB {
	q := url.Values{}
	// Someone outside of the turnstile, say a shell that looks at the file,
	// may hold it for a moment.
	q.Add("_pragma", "busy_timeout(10000)")
	q.Add("_pragma", "journal_mode(WAL)")
	q.Add("_pragma", "synchronous(FULL)")
	// The journal of savepoints lives in temporary storage, and each Write
	// has a savepoint: in a file it costs a third of the time.
	q.Add("_pragma", "temp_store(MEMORY)")
	if readOnly {
		q.Add("_pragma", "query_only(1)")
	}
	dsn := url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(path), RawQuery: q.Encode()}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		panic(err) // only an unknown driver name gets here
	}
	db.SetMaxOpenConns(size)
	db.SetMaxIdleConns(size)
	return db
}

// Close refuses further writes, waits until those already queued are
// answered, and lets go of the file. It waits as long as another process
// holds the write lock.
func (db *DB) Close() error {
	if !db.writer.stop() {
		return ErrClosed
	}
	<-db.ended
	if err := errors.Join(db.reads.Close(), db.writer.close()); err != nil {
		return fmt.Errorf("close %s: %w", db.path, err)
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
		return db.reads.QueryRowContext(ctx, q, args...) // carries the same error
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
	stmt, err := db.reads.Prepare(q)
	if err != nil {
		return nil, err
	}
	db.stmts[q] = stmt
	return stmt, nil
}

package store

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	_ "modernc.org/sqlite" // the driver, registered as "sqlite"
)

// file is a database in a SQLite file, as the writer of this process has it.
type file struct{ writer *writer }

// SQL is written as SQLite takes it.
func (file) sql(q string) string { return held.Replace(q) }

// schema leaves AUTOINCREMENT out: it keeps the number of a deleted row from
// being given again, at the price of a table that each insert changes too, and
// what has a number here is never deleted.
func (file) schema(statement string) string {
	return strings.ReplaceAll(statement, " AUTOINCREMENT", "")
}

func (f file) close() error { return f.writer.close() }

func openFile(ctx context.Context, path string) (*DB, error) {
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
	locks, err := lockFile(path + ".claims")
	if err != nil {
		return nil, errors.Join(err, turn.Close())
	}
	lanesFile, err := lockFile(path + ".lanes")
	if err != nil {
		return nil, errors.Join(err, turn.Close(), locks.Close())
	}
	queue, wake := newQueue(), make(chan struct{}, 1)
	w := &writer{queue: queue, pool: pool(path, 1, false), turn: turn, wake: wake}
	// The first connection of all makes the file a write-ahead log one,
	// which SQLite refuses to do while another process is at it.
	if err := turn.Lock(); err != nil {
		return nil, errors.Join(err, w.pool.Close(), turn.Close(), locks.Close(), lanesFile.Close())
	}
	err = w.connect(ctx)
	if err := errors.Join(err, turn.Unlock()); err != nil {
		return nil, errors.Join(err, w.pool.Close(), turn.Close(), locks.Close(), lanesFile.Close())
	}
	db := &DB{
		path:   path,
		queue:  queue,
		ended:  make(chan struct{}),
		leases: fileLeases{path},
		claims: claims{words: map[string]struct{}{}, locks: locks},
		lanes:  lanes{locks: &fileLanes{file: lanesFile}},
		kind:   file{w},
		reads:  pool(path, readers, true),
		stmts:  map[string]*sql.Stmt{},
		wake:   wake,
	}
	go func() {
		defer close(db.ended)
		queue.work(w.turnOnce)
	}()
	return db, nil
}

// readFile is a file as an onlooker sees it: never made, never written.
func readFile(path string) (*sql.DB, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	q := url.Values{"mode": {"ro"}, "_pragma": {"busy_timeout(5000)", "query_only(1)"}}
	return sql.Open("sqlite", dsn(path, q))
}

func dsn(path string, q url.Values) string {
	u := url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(path), RawQuery: q.Encode()}
	return u.String()
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
	db, err := sql.Open("sqlite", dsn(path, q))
	if err != nil {
		panic(err) // only an unknown driver name gets here
	}
	db.SetMaxOpenConns(size)
	db.SetMaxIdleConns(size)
	return db
}

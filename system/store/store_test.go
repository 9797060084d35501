package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/ordbench/ordbench/system/store/storetest"
)

const rowsTable = `CREATE TABLE rows (id TEXT PRIMARY KEY, n INTEGER NOT NULL)`

// each runs fn with a migrated database of every kind: what holds for one has
// to hold for the others.
func each(t *testing.T, fn func(t *testing.T, db *DB)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, kind string) { fn(t, opened(t, kind)) })
}

// opened is a migrated database of the test's own.
func opened(t testing.TB, kind string) *DB {
	t.Helper()
	db := openAt(t, storetest.Path(t, kind))
	if err := db.Migrate(t.Context(), rowsTable); err != nil {
		t.Fatal(err)
	}
	return db
}

func openAt(t testing.TB, path string) *DB {
	t.Helper()
	db, err := Open(t.Context(), Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil && !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
	return db
}

func insert(id string) func(*Tx) error {
	return func(tx *Tx) error {
		_, err := tx.Exec(`INSERT INTO rows (id, n) VALUES (?, 1)`, id)
		return err
	}
}

func count(t testing.TB, db *DB, q string, args ...any) int {
	t.Helper()
	var n int
	if err := db.QueryRow(t.Context(), q, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestWhatWasWrittenIsReadAndOutlivesTheProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a name with ? and #.db")
	db := openAt(t, path)
	if err := db.Migrate(t.Context(), rowsTable); err != nil {
		t.Fatal(err)
	}
	if err := db.Write(t.Context(), insert("a")); err != nil {
		t.Fatal(err)
	}
	if n := count(t, db, `SELECT count(*) FROM rows`); n != 1 {
		t.Fatalf("%d rows, want 1", n)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("the file has another name: %v", err)
	}
	if n := count(t, openAt(t, path), `SELECT count(*) FROM rows WHERE id = ?`, "a"); n != 1 {
		t.Fatalf("%d rows after reopening, want 1", n)
	}
}

func TestJournalIsWALAndEveryCommitIsFlushed(t *testing.T) {
	db := opened(t, storetest.SQLite)
	err := db.Write(t.Context(), func(tx *Tx) error {
		var mode string
		var sync int
		if err := tx.QueryRow(`PRAGMA journal_mode`).Scan(&mode); err != nil {
			return err
		}
		if err := tx.QueryRow(`PRAGMA synchronous`).Scan(&sync); err != nil {
			return err
		}
		if mode != "wal" || sync != 2 {
			return fmt.Errorf("journal_mode %s, synchronous %d; want wal, 2 (FULL)", mode, sync)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestQueriesCannotWrite(t *testing.T) {
	each(t, func(t *testing.T, db *DB) {
		rows, err := db.Query(t.Context(), `INSERT INTO rows (id, n) VALUES ('x', 1) RETURNING id`)
		if err == nil {
			for rows.Next() {
			}
			err = errors.Join(rows.Err(), rows.Close())
		}
		if err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), "-", ""), "readonly") {
			t.Fatalf("a write through Query: %v, want a refusal", err)
		}
	})
}

func TestBadQueryIsAnErrorNotAPanic(t *testing.T) {
	each(t, func(t *testing.T, db *DB) {
		if _, err := db.Query(t.Context(), `SELECT nothing FROM nowhere`); err == nil {
			t.Error("Query: no error")
		}
		var n int
		if err := db.QueryRow(t.Context(), `SELECT nothing FROM nowhere`).Scan(&n); err == nil {
			t.Error("QueryRow: no error")
		}
		err := db.Write(t.Context(), func(tx *Tx) error {
			return tx.QueryRow(`SELECT nothing FROM nowhere`).Scan(&n)
		})
		if err == nil {
			t.Error("Tx.QueryRow: no error")
		}
	})
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "missing", "x.db")
	_, err := Open(t.Context(), Config{Path: path})
	if !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), "open "+path) {
		t.Errorf("no directory: %v", err)
	}
	if _, err := Open(t.Context(), Config{Path: dir}); err == nil {
		t.Error("a directory was opened as a database")
	}
	text := filepath.Join(dir, "text.db")
	if err := os.WriteFile(text, []byte(strings.Repeat("this is no database\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Config{Path: text}); err == nil || !strings.Contains(err.Error(), "not a database") {
		t.Errorf("a text file: %v", err)
	}
}

func TestClosedDatabaseRefuses(t *testing.T) {
	each(t, func(t *testing.T, db *DB) {
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if err := db.Write(t.Context(), insert("a")); !errors.Is(err, ErrClosed) {
			t.Errorf("write: %v, want %v", err, ErrClosed)
		}
		if _, err := db.Query(t.Context(), `SELECT 1`); err == nil {
			t.Error("query: no error")
		}
		if err := db.Close(); !errors.Is(err, ErrClosed) {
			t.Errorf("second close: %v, want %v", err, ErrClosed)
		}
	})
}

func TestCloseAnswersWhatIsQueued(t *testing.T) {
	each(t, func(t *testing.T, db *DB) {
		goOn := occupy(t, db)
		answers := make(chan error, 10)
		for i := range cap(answers) {
			if !db.queue.add(&request{fn: insert(fmt.Sprint(i)), answer: answers}) {
				t.Fatal("refused before Close")
			}
		}
		var all sync.WaitGroup
		all.Go(func() {
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
		goOn()
		for range cap(answers) {
			if err := <-answers; err != nil {
				t.Errorf("queued before Close: %v", err)
			}
		}
		all.Wait()
	})
}

func TestMigrateRunsEachStatementOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, kind string) {
		path := storetest.Path(t, kind)
		schema := []string{
			rowsTable,
			`INSERT INTO rows (id, n) VALUES ('seed', 1)`,
		}
		var all sync.WaitGroup
		for range 4 { // each a connection of its own, as processes that start together
			db := openAt(t, path)
			all.Go(func() {
				for range 2 {
					if err := db.Migrate(context.Background(), schema...); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		db := openAt(t, path)
		if n := count(t, db, `SELECT count(*) FROM rows`); n != 1 {
			t.Fatalf("the seed ran %d times", n)
		}
		if err := db.Migrate(t.Context(), append(schema, `ALTER TABLE rows ADD COLUMN more TEXT`)...); err != nil {
			t.Fatalf("a statement that was added later: %v", err)
		}
		count(t, db, `SELECT count(more) FROM rows`)
	})
}

func TestFailedMigrationChangesNothing(t *testing.T) {
	each(t, func(t *testing.T, db *DB) {
		err := db.Migrate(t.Context(), `CREATE TABLE half (id TEXT)`, `CREATE TABEL wrong`)
		if err == nil || !strings.Contains(err.Error(), "CREATE TABEL wrong") {
			t.Fatalf("error %v does not name the statement", err)
		}
		var n int
		if err := db.QueryRow(t.Context(), `SELECT count(*) FROM half`).Scan(&n); err == nil {
			t.Fatal("the first half stayed")
		}
	})
}

func TestAnOnlookerReadsAndNeverWrites(t *testing.T) {
	storetest.Each(t, func(t *testing.T, kind string) {
		path := storetest.Path(t, kind)
		if kind == storetest.SQLite {
			if _, err := OpenReader(t.Context(), path); !errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("a file that is not there: %v", err)
			}
		}
		db := openAt(t, path)
		if err := errors.Join(db.Migrate(t.Context(), rowsTable), db.Write(t.Context(), insert("a"))); err != nil {
			t.Fatal(err)
		}
		onlooker, err := OpenReader(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		defer onlooker.Close()
		tx, err := onlooker.BeginTx(t.Context(), &sql.TxOptions{ReadOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback()
		for _, id := range []string{"b", "c"} { // it sees the moment of its first look
			var n int
			if err := tx.QueryRow(`SELECT count(*) FROM rows`).Scan(&n); err != nil || n != 1 {
				t.Errorf("%d rows, %v; want the one of before", n, err)
			}
			if err := db.Write(t.Context(), insert(id)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := onlooker.Exec(`INSERT INTO rows (id, n) VALUES ('x', 1)`); err == nil {
			t.Error("it wrote")
		}
	})
}

package store

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/ordbench/ordbench/system/store/storetest"
)

var errNo = errors.New("no")

func openBranches(t *testing.T, path, participant string) *Branches {
	t.Helper()
	b, err := OpenBranches(t.Context(), path, participant)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// rowsOnServer is a database with a table to write to.
func rowsOnServer(t *testing.T) (path string, db *DB) {
	t.Helper()
	path = storetest.Path(t, storetest.PostgreSQL)
	db = openAt(t, path)
	if err := db.Migrate(t.Context(), `CREATE TABLE rows (name TEXT PRIMARY KEY)`); err != nil {
		t.Fatal(err)
	}
	return path, db
}

// add is a write of one row.
func add(name string) func(*Tx) error {
	return func(tx *Tx) error { return tx.Defer(`INSERT INTO rows (name) VALUES (?)`, name) }
}

func TestABranchStandsOnlyOnceItIsCommitted(t *testing.T) {
	ctx := t.Context()
	path, db := rowsOnServer(t)
	b := openBranches(t, path, "a")
	wantNames := func(want int) {
		t.Helper()
		var n int
		if err := db.QueryRow(ctx, `SELECT count(*) FROM rows`).Scan(&n); err != nil || n != want {
			t.Errorf("%d rows, %v; want %d", n, err, want)
		}
	}
	for _, name := range []string{"x", "it's"} {
		if err := b.Prepare(ctx, name, add(name)); err != nil {
			t.Fatal(err)
		}
	}
	wantNames(0)
	if err := b.Prepare(ctx, "x", add("again")); err == nil || errors.Is(err, ErrUnknown) {
		t.Errorf("a transaction has a second branch: %v", err)
	}
	if err := b.Prepare(ctx, "y", func(tx *Tx) error { return errors.Join(add("y")(tx), errNo) }); !errors.Is(err, errNo) {
		t.Errorf("%v, want what the function says", err)
	}
	// The promise outlives who made it, and another participant sees nothing of it.
	later, other := openBranches(t, path, "a"), openBranches(t, path, "b")
	found, err := later.InDoubt(ctx)
	if err != nil || len(found) != 2 || time.Since(found["it's"]) > time.Hour {
		t.Errorf("in doubt: %v, %v; want x and it's", found, err)
	}
	if found, err := other.InDoubt(ctx); err != nil || len(found) != 0 {
		t.Errorf("in doubt with another: %v, %v", found, err)
	}
	for range 2 { // the second time there is nothing to do
		if err := later.Commit(ctx, "x"); err != nil {
			t.Error(err)
		}
		if err := later.Rollback(ctx, "it's"); err != nil {
			t.Error(err)
		}
	}
	wantNames(1)
	if found, err := later.InDoubt(ctx); err != nil || len(found) != 0 {
		t.Errorf("in doubt after the end: %v, %v", found, err)
	}
}

// Who waits for what is promised waits until the promise has its end, or until
// his own time is over; and those who wait keep nobody from ending it.
func TestABranchKeepsItsRows(t *testing.T) {
	ctx := t.Context()
	path, _ := rowsOnServer(t)
	b := openBranches(t, path, "a")
	if err := b.Prepare(ctx, "first", add("x")); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	if err := b.Prepare(short, "late", add("x")); err == nil {
		t.Error("what is promised was promised to another")
	}
	ended := make(chan error, preparers+1)
	for range preparers + 1 { // more than there are connections
		go func() { ended <- b.Prepare(ctx, "second", add("x")) }()
	}
	if err := b.Rollback(ctx, "first"); err != nil {
		t.Fatal(err)
	}
	// What was given up may still come through: nobody knows its outcome, and
	// as a recovery would, one calls it off until it is certain.
	recovery := time.NewTicker(50 * time.Millisecond)
	defer recovery.Stop()
	for range preparers + 1 { // one after the other
		for waiting := true; waiting; {
			select {
			case err := <-ended:
				if err != nil {
					t.Error(err)
				}
				waiting = false
			case <-recovery.C:
				if err := b.Rollback(ctx, "late"); err != nil {
					t.Error(err)
				}
			}
		}
		if err := b.Rollback(ctx, "second"); err != nil {
			t.Error(err)
		}
	}
}

func TestAFileMakesNoPromises(t *testing.T) {
	if _, err := OpenBranches(t.Context(), filepath.Join(t.TempDir(), "x.db"), "a"); !errors.Is(err, ErrNoBranches) {
		t.Errorf("%v, want ErrNoBranches", err)
	}
}

package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ordbench/ordbench/system/store/storetest"
)

// occupy holds every writer of db inside a transaction until the function that
// it returns is called, which waits for them.
func occupy(t *testing.T, db *DB) (goOn func()) {
	t.Helper()
	began, over := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	for range holders(db) {
		all.Go(func() {
			err := db.Write(context.Background(), func(*Tx) error { began <- struct{}{}; <-over; return nil })
			if err != nil {
				t.Error(err)
			}
		})
		<-began
	}
	return func() { close(over); all.Wait() }
}

// holders is how many writers db has.
func holders(db *DB) uint64 {
	if _, ok := db.kind.(server); ok {
		return serverWriters
	}
	return 1
}

// together lets all of fns wait until they share a transaction, and returns
// their answers in order.
func together(t *testing.T, db *DB, fns ...func(*Tx) error) []error {
	t.Helper()
	goOn := occupy(t, db)
	requests := make([]*request, len(fns))
	for i, fn := range fns {
		requests[i] = &request{fn: fn, answer: make(chan error, 1)}
		if !db.queue.add(requests[i]) {
			t.Fatal(ErrClosed)
		}
	}
	goOn()
	answers := make([]error, len(fns))
	for i, r := range requests {
		answers[i] = <-r.answer
	}
	return answers
}

func TestCallersShareACommit(t *testing.T) {
	each(t, func(t *testing.T, db *DB) {
		before := db.Stats()
		fns := make([]func(*Tx) error, 100)
		for i := range fns {
			fns[i] = insert(fmt.Sprint(i))
		}
		for i, err := range together(t, db, fns...) {
			if err != nil {
				t.Fatalf("caller %d: %v", i, err)
			}
		}
		after := db.Stats()
		if commits, writes := after.Commits-before.Commits, after.Writes-before.Writes; commits != 1+holders(db) || writes != 100+holders(db) {
			t.Fatalf("%d writes in %d commits, want 100 in one, and those that held the writers", writes, commits)
		}
		if n := count(t, db, `SELECT count(*) FROM rows`); n != 100 {
			t.Fatalf("%d rows, want 100", n)
		}
	})
}

func TestOnlyTheFailingCallerIsUndone(t *testing.T) {
	each(t, func(t *testing.T, db *DB) {
		wrong := errors.New("no stock")
		answers := together(t, db,
			insert("before"),
			func(tx *Tx) error { return errors.Join(insert("undone")(tx), wrong) },
			func(tx *Tx) error { insert("panicked")(tx); panic("a bug") },
			insert("before"), // breaks the key
			insert("after"),
		)
		if answers[0] != nil || answers[4] != nil {
			t.Errorf("the others: %v, %v", answers[0], answers[4])
		}
		if !errors.Is(answers[1], wrong) {
			t.Errorf("own error: %v, want %v", answers[1], wrong)
		}
		if answers[2] == nil || !strings.Contains(answers[2].Error(), "a bug") || !strings.Contains(answers[2].Error(), "writer_test.go") {
			t.Errorf("panic: %v, want its value and where it was", answers[2])
		}
		if answers[3] == nil || !strings.Contains(strings.ToLower(answers[3].Error()), "unique") {
			t.Errorf("constraint: %v", answers[3])
		}
		rows, err := db.Query(t.Context(), `SELECT id FROM rows ORDER BY id`)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		var ids []string
		for rows.Next() {
			var id string
			if err := rows.Scan(&id); err != nil {
				t.Fatal(err)
			}
			ids = append(ids, id)
		}
		if got := strings.Join(ids, " "); got != "after before" {
			t.Errorf("rows %q, want after and before", got)
		}
	})
}

// Who shares the transaction of a file with others may run again where one of
// them fails. Who fails by himself does not, and who is alone does not either.
func TestCallersRunAgainOnlyWhereAnotherFails(t *testing.T) {
	db := opened(t, storetest.SQLite)
	for _, c := range []struct {
		fail []bool
		want []int
	}{
		{[]bool{false}, []int{1}},
		{[]bool{true}, []int{1}},
		{[]bool{false, false}, []int{1, 1}},
		{[]bool{true, false}, []int{1, 1}},
		{[]bool{false, true}, []int{2, 1}},
		{[]bool{false, true, true, false}, []int{2, 1, 1, 1}},
	} {
		runs := make([]int, len(c.fail))
		fns := make([]func(*Tx) error, len(c.fail))
		wrong := errors.New("no stock")
		for i, fail := range c.fail {
			fns[i] = func(*Tx) error {
				if runs[i]++; fail {
					return wrong
				}
				return nil
			}
		}
		for i, err := range together(t, db, fns...) {
			if want := map[bool]error{true: wrong}[c.fail[i]]; !errors.Is(err, want) {
				t.Errorf("fail %v: caller %d: %v, want %v", c.fail, i, err, want)
			}
		}
		if !slices.Equal(runs, c.want) {
			t.Errorf("fail %v: ran %v times, want %v", c.fail, runs, c.want)
		}
	}
}

func TestCallerSeesItsOwnWrites(t *testing.T) {
	each(t, func(t *testing.T, db *DB) {
		err := db.Write(t.Context(), func(tx *Tx) error {
			if err := errors.Join(insert("a")(tx), tx.Defer(`INSERT INTO rows (id, n) VALUES (?, ?)`, "b", 2)); err != nil {
				return err
			}
			var n int
			if err := tx.QueryRow(`SELECT sum(n) FROM rows WHERE id <> '?'`).Scan(&n); err != nil {
				return err
			}
			if n != 3 {
				return fmt.Errorf("the rows make %d inside, want 3", n)
			}
			rows, err := tx.Query(`SELECT id FROM rows WHERE n >= ? ORDER BY id`, 1)
			if err != nil {
				return err
			}
			var ids []string
			for rows.Next() {
				var id string
				if err := rows.Scan(&id); err != nil {
					return err
				}
				ids = append(ids, id)
			}
			if got := strings.Join(ids, " "); got != "a b" {
				return fmt.Errorf("rows %q inside, want a and b", got)
			}
			res, err := tx.Exec(`UPDATE rows SET n = n + ? WHERE id = ?`, 1, "b")
			if err != nil {
				return err
			}
			if n, err := res.RowsAffected(); err != nil || n != 1 {
				return fmt.Errorf("%d rows changed, %w", n, err)
			}
			return rows.Err()
		})
		if err != nil {
			t.Fatal(err)
		}
		if n := count(t, db, `SELECT sum(n) FROM rows`); n != 4 {
			t.Errorf("the rows make %d, want 4", n)
		}
	})
}

func TestAStatementThatFailsIsTheEndOfItsCaller(t *testing.T) {
	each(t, func(t *testing.T, db *DB) {
		for name, again := range map[string]func(*Tx) error{
			"at once": insert("a"),
			"later":   func(tx *Tx) error { return tx.Defer(`INSERT INTO rows (id, n) VALUES ('a', 1)`) },
		} {
			err := db.Write(t.Context(), func(tx *Tx) error {
				if err := insert("a")(tx); err != nil {
					return err
				}
				_ = again(tx) // the caller does not care
				if err := insert("b")(tx); err == nil {
					t.Errorf("%s: went on", name)
				}
				return nil
			})
			if err == nil || !strings.Contains(strings.ToLower(err.Error()), "unique") || errors.Is(err, ErrUnknown) {
				t.Errorf("%s: %v, want the constraint that was broken", name, err)
			}
		}
		if n := count(t, db, `SELECT count(*) FROM rows`); n != 0 {
			t.Errorf("%d rows of callers that failed", n)
		}
		if err := db.Write(t.Context(), insert("next")); err != nil {
			t.Error(err)
		}
	})
}

func TestLockedRowsAreChangedByOneAtATime(t *testing.T) {
	each(t, func(t *testing.T, db *DB) {
		ids := []string{"a", "b", "c", "d"}
		for _, id := range ids {
			if err := db.Write(t.Context(), insert(id)); err != nil {
				t.Fatal(err)
			}
		}
		other := openAt(t, db.path)
		var all sync.WaitGroup
		for g := range 8 {
			db := []*DB{db, other}[g%2]
			all.Go(func() {
				for i := range 10 {
					// Each begins with another row: without the lock they
					// would wait in circles.
					err := db.Write(context.Background(), func(tx *Tx) error {
						held, err := tx.LockRows("rows", "id", "n", ids)
						if err != nil {
							return err
						}
						for k := range ids {
							var n int
							id := ids[(g+i+k)%len(ids)]
							if err := tx.QueryRow(`SELECT n FROM rows WHERE id = ?`, id).Scan(&n); err != nil {
								return err
							}
							if held[id] != int64(n) {
								return fmt.Errorf("%s was %d when it was locked, and is %d", id, held[id], n)
							}
							if err := tx.Defer(`UPDATE rows SET n = ? WHERE id = ?`, n+1, id); err != nil {
								return err
							}
						}
						return nil
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		if n := count(t, db, `SELECT sum(n) FROM rows`); n != 4*81 {
			t.Errorf("the rows make %d, want %d: a change was lost", n, 4*81)
		}
	})
}

func TestFullDiskIsTheErrorOfEveryCallerInTheCommit(t *testing.T) {
	db := opened(t, storetest.SQLite)
	full := func(tx *Tx) error {
		// The connection that carries this limit is dropped with the
		// failure: after it the disk has room again.
		if _, err := tx.Exec(`PRAGMA max_page_count = 1`); err != nil {
			return err
		}
		_, err := tx.Exec(`INSERT INTO rows (id, n) VALUES (?, 1)`, strings.Repeat("x", 1<<16))
		if err == nil {
			return nil
		}
		// A caller that swallows the error must not save itself, nor
		// write outside of the transaction that is gone.
		if err := insert("after the loss")(tx); err == nil {
			return errors.New("wrote without a transaction")
		}
		return nil
	}
	for i, err := range together(t, db, insert("before"), full, insert("after")) {
		if err == nil || !strings.Contains(err.Error(), "full") {
			t.Errorf("caller %d: %v, want that the disk is full", i, err)
		}
	}
	if n := count(t, db, `SELECT count(*) FROM rows`); n != 0 {
		t.Errorf("%d rows of a lost transaction", n)
	}
	if err := db.Write(t.Context(), insert("later")); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

func TestCallerThatGivesUpBeforeItsTurnNeverRuns(t *testing.T) {
	each(t, func(t *testing.T, db *DB) {
		cause := errors.New("client hung up")
		ctx, cancel := context.WithCancelCause(t.Context())
		goOn := occupy(t, db)
		cancel(cause)
		if err := db.Write(ctx, insert("never")); !errors.Is(err, cause) {
			t.Errorf("error %v, want %v", err, cause)
		}
		goOn()
		if err := db.Write(t.Context(), insert("next")); err != nil {
			t.Fatal(err)
		}
		if n := count(t, db, `SELECT count(*) FROM rows WHERE id = 'never'`); n != 0 {
			t.Error("it ran after its caller was told that it did not")
		}
	})
}

func TestCallerThatGivesUpInItsTurnLearnsTheOutcome(t *testing.T) {
	each(t, func(t *testing.T, db *DB) {
		ctx, cancel := context.WithCancel(t.Context())
		err := db.Write(ctx, func(tx *Tx) error {
			cancel()
			return insert("done")(tx)
		})
		if err != nil {
			t.Fatalf("error %v for what was committed", err)
		}
		if n := count(t, db, `SELECT count(*) FROM rows`); n != 1 {
			t.Errorf("%d rows, want 1", n)
		}
	})
}

func TestTransactionIsUselessAfterItsFunction(t *testing.T) {
	each(t, func(t *testing.T, db *DB) {
		var kept *Tx
		if err := db.Write(t.Context(), func(tx *Tx) error { kept = tx; return nil }); err != nil {
			t.Fatal(err)
		}
		if err := insert("late")(kept); !errors.Is(err, errOver) {
			t.Errorf("exec: %v, want %v", err, errOver)
		}
		if _, err := kept.Query(`SELECT 1`); !errors.Is(err, errOver) {
			t.Errorf("query: %v, want %v", err, errOver)
		}
		var n int
		if err := kept.QueryRow(`SELECT 1`).Scan(&n); !errors.Is(err, errOver) {
			t.Errorf("row: %v, want %v", err, errOver)
		}
	})
}

func TestManyCallersLoseNothing(t *testing.T) {
	each(t, func(t *testing.T, db *DB) {
		var all sync.WaitGroup
		for g := range 16 {
			all.Go(func() {
				for i := range 50 {
					if err := db.Write(context.Background(), insert(fmt.Sprint(g, " ", i))); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		if n := count(t, db, `SELECT count(*) FROM rows`); n != 800 {
			t.Fatalf("%d rows, want 800", n)
		}
	})
}

// BenchmarkWrite reports flushes and rows per second on the file system of
// the temporary directory; set TMPDIR to measure another.
func BenchmarkWrite(b *testing.B) {
	for _, kind := range []string{storetest.SQLite, storetest.PostgreSQL} {
		for _, callers := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("%s/callers=%d", kind, callers), func(b *testing.B) {
				db := opened(b, kind)
				start := db.Stats()
				b.ResetTimer()
				var all sync.WaitGroup
				for g := range callers {
					all.Go(func() {
						for i := g; i < b.N; i += callers {
							if err := db.Write(context.Background(), insert(fmt.Sprint(i))); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				all.Wait()
				b.StopTimer()
				end, took := db.Stats(), b.Elapsed().Seconds()
				b.ReportMetric(float64(end.Commits-start.Commits)/took, "commits/s")
				b.ReportMetric(float64(end.Writes-start.Writes)/took, "rows/s")
			})
		}
	}
}

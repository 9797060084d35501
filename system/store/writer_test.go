package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
)

// together holds the writer inside one transaction until all of fns are in the
// queue, so that they share the next one, and returns their answers in order.
func together(t *testing.T, db *DB, fns ...func(*Tx) error) []error {
	t.Helper()
	began, goOn := make(chan struct{}), make(chan struct{})
	first := make(chan error, 1)
	go func() {
		first <- db.Write(context.Background(), func(*Tx) error { close(began); <-goOn; return nil })
	}()
	<-began
	requests := make([]*request, len(fns))
	for i, fn := range fns {
		requests[i] = &request{fn: fn, answer: make(chan error, 1)}
		if !db.writer.enqueue(requests[i]) {
			t.Fatal(ErrClosed)
		}
	}
	close(goOn)
	if err := <-first; err != nil {
		t.Fatal(err)
	}
	answers := make([]error, len(fns))
	for i, r := range requests {
		answers[i] = <-r.answer
	}
	return answers
}

func TestCallersShareACommit(t *testing.T) {
	db := opened(t)
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
	if commits, writes := after.Commits-before.Commits, after.Writes-before.Writes; commits != 2 || writes != 101 {
		t.Fatalf("%d writes in %d commits, want 101 in 2", writes, commits)
	}
	if n := count(t, db, `SELECT count(*) FROM rows`); n != 100 {
		t.Fatalf("%d rows, want 100", n)
	}
}

func TestOnlyTheFailingCallerIsUndone(t *testing.T) {
	db := opened(t)
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
	if answers[3] == nil || !strings.Contains(answers[3].Error(), "UNIQUE") {
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
}

func TestCallerSeesItsOwnWritesAndMayHandleAConstraint(t *testing.T) {
	db := opened(t)
	err := db.Write(t.Context(), func(tx *Tx) error {
		if err := insert("a")(tx); err != nil {
			return err
		}
		if err := insert("a")(tx); err == nil {
			return errors.New("the key was taken twice")
		}
		if err := insert("b")(tx); err != nil {
			return err
		}
		var n int
		if err := tx.QueryRow(`SELECT count(*) FROM rows`).Scan(&n); err != nil {
			return err
		}
		if n != 2 {
			return fmt.Errorf("%d rows inside, want 2", n)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestFullDiskIsTheErrorOfEveryCallerInTheCommit(t *testing.T) {
	db := opened(t)
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
	db := opened(t)
	cause := errors.New("client hung up")
	ctx, cancel := context.WithCancelCause(t.Context())
	began, goOn := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		db.Write(context.Background(), func(*Tx) error { close(began); <-goOn; return nil })
	})
	<-began
	cancel(cause)
	if err := db.Write(ctx, insert("never")); !errors.Is(err, cause) {
		t.Errorf("error %v, want %v", err, cause)
	}
	close(goOn)
	all.Wait()
	if err := db.Write(t.Context(), insert("next")); err != nil {
		t.Fatal(err)
	}
	if n := count(t, db, `SELECT count(*) FROM rows WHERE id = 'never'`); n != 0 {
		t.Error("it ran after its caller was told that it did not")
	}
}

func TestCallerThatGivesUpInItsTurnLearnsTheOutcome(t *testing.T) {
	db := opened(t)
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
}

func TestTransactionIsUselessAfterItsFunction(t *testing.T) {
	db := opened(t)
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
}

func TestManyCallersLoseNothing(t *testing.T) {
	db := opened(t)
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
}

// BenchmarkWrite reports flushes and rows per second on the file system of
// the temporary directory; set TMPDIR to measure another.
func BenchmarkWrite(b *testing.B) {
	for _, callers := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			db := opened(b)
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

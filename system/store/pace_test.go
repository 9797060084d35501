package store

import (
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// The clock of the bubble moves only while everybody waits for it, so what it
// shows is the pace alone and not the disk.
func TestOnlyCallersThatComeSideBySideWaitForCompany(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pace.db")
	synctest.Test(t, func(t *testing.T) {
		db := openAt(t, path)
		if err := db.Migrate(t.Context(), rowsTable); err != nil {
			t.Fatal(err)
		}
		took := func(write func()) time.Duration {
			began := time.Now()
			write()
			return time.Since(began)
		}
		one := func(id string) func() {
			return func() {
				if err := db.Write(t.Context(), insert(id)); err != nil {
					t.Error(err)
				}
			}
		}
		for _, id := range []string{"a", "b", "c"} {
			if d := took(one(id)); d != 0 {
				t.Errorf("%s came alone and waited %s", id, d)
			}
		}
		// Two gather behind one that holds the writer, and share a commit.
		inside, let := make(chan bool), make(chan bool)
		var all sync.WaitGroup
		all.Go(func() {
			err := db.Write(t.Context(), func(tx *Tx) error {
				inside <- true
				<-let
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
		<-inside
		all.Go(one("d"))
		all.Go(one("e"))
		synctest.Wait()
		close(let)
		all.Wait()
		if d := took(one("f")); d != commitPace {
			t.Errorf("who came right after a shared commit waited %s, want %s", d, commitPace)
		}
		if d := took(one("g")); d != 0 {
			t.Errorf("who came alone again waited %s", d)
		}
		time.Sleep(time.Second)
		if n := count(t, db, `SELECT count(*) FROM rows`); n != 7 {
			t.Errorf("%d rows, want 7", n)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

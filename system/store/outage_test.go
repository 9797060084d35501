package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ordbench/ordbench/system/store/storetest"
)

// What was acknowledged is there after the server was killed, what was refused
// for certain is not, and what is unknown may be either; and everything goes on
// by itself once the server is back.
func TestAKilledServerLosesNothingAndIsFoundAgain(t *testing.T) {
	server := storetest.Private(t)
	db := openAt(t, server.Database(t))
	if err := db.Migrate(t.Context(), rowsTable); err != nil {
		t.Fatal(err)
	}
	held, release, err := db.Lease(t.Context(), "relay")
	if err != nil {
		t.Fatal(err)
	}
	var (
		mu                       sync.Mutex
		acked, refused, unsure   []string
		writers                  sync.WaitGroup
		over                     = make(chan struct{})
		total, sinceKill, killed atomic.Int64
	)
	for g := range 8 {
		writers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-over:
					return
				default:
				}
				id := fmt.Sprint(g, "-", i)
				err := db.Write(context.Background(), func(tx *Tx) error {
					return errors.Join(insert(id)(tx), tx.Enqueue(Message{EventID: id, Topic: "t", Key: fmt.Sprint(g)}))
				})
				mu.Lock()
				switch {
				case err == nil:
					acked = append(acked, id)
					total.Add(1)
					if killed.Load() > 0 {
						sinceKill.Add(1)
					}
				case errors.Is(err, ErrUnknown):
					unsure = append(unsure, id)
				default:
					refused = append(refused, id)
					time.Sleep(time.Millisecond) // nobody is there to ask
				}
				mu.Unlock()
			}
		})
	}
	await := func(what string, done func() bool) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("waited too long for " + what)
			}
		}
	}
	for round := range 3 {
		await("writes", func() bool { return total.Load() > int64(200*(round+1)) })
		if err := server.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
		sinceKill.Store(0)
		killed.Add(1)
		await("writes after the kill", func() bool { return sinceKill.Load() > 100 })
	}
	close(over)
	writers.Wait()
	t.Logf("%d acknowledged, %d refused, %d unknown", len(acked), len(refused), len(unsure))

	select {
	case <-held.Done():
	case <-time.After(time.Minute):
		t.Error("the lease of a dead session is still held")
	}
	release()
	if _, release, err = db.Lease(t.Context(), "relay"); err != nil {
		t.Fatal(err)
	}
	release()
	const both = `SELECT count(*) FROM rows JOIN outbox ON event_id = rows.id WHERE rows.id = ?`
	for _, id := range acked {
		if n := count(t, db, both, id); n != 1 {
			t.Errorf("acknowledged row %q is there %d times", id, n)
		}
	}
	for _, id := range refused {
		if n := count(t, db, `SELECT count(*) FROM rows WHERE id = ?`, id); n != 0 {
			t.Errorf("row %q was refused, and is there", id)
		}
	}
	if n := count(t, db, `SELECT count(*) FROM rows WHERE id NOT IN (SELECT event_id FROM outbox)`); n != 0 {
		t.Errorf("%d rows without the event that was written with them", n)
	}
}

// A connection that breaks while the commit is on its way leaves its callers
// in doubt, and says so.
func TestACommitWithoutAnAnswerIsUnknown(t *testing.T) {
	server := storetest.Private(t)
	db := openAt(t, server.Database(t))
	if err := db.Migrate(t.Context(), rowsTable,
		// The commit itself waits: a constraint that is checked at its end.
		`CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(3600); RETURN NULL; END'`,
		`CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON rows DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait()`,
	); err != nil {
		t.Fatal(err)
	}
	answer := make(chan error, 1)
	go func() { answer <- db.Write(context.Background(), insert("a")) }()
	for count(t, db, `SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'`) == 0 {
		time.Sleep(time.Millisecond)
	}
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := <-answer; !errors.Is(err, ErrUnknown) {
		t.Errorf("%v, want that the outcome is unknown", err)
	}
	// Before the commit is sent the outcome is certain: there is none.
	if err := db.Write(t.Context(), insert("b")); err == nil || errors.Is(err, ErrUnknown) {
		t.Errorf("%v, want a refusal", err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
}

// Transactions that run side by side commit in another order than that of
// their numbers. Within a key the order holds, for whoever polls meanwhile.
func TestOutboxKeepsTheOrderOfAKeyUnderConcurrentWriters(t *testing.T) {
	storetest.Each(t, func(t *testing.T, kind string) {
		path := storetest.Path(t, kind)
		dbs := []*DB{openAt(t, path), openAt(t, path), openAt(t, path)}
		if err := dbs[0].Migrate(t.Context(), rowsTable); err != nil {
			t.Fatal(err)
		}
		const keys, each = 5, 40
		for k := range keys {
			if err := dbs[0].Write(t.Context(), insert(fmt.Sprint(k))); err != nil {
				t.Fatal(err)
			}
		}
		var writers sync.WaitGroup
		for _, db := range dbs {
			for k := range keys {
				writers.Go(func() {
					for range each {
						err := db.Write(context.Background(), func(tx *Tx) error {
							key := fmt.Sprint(k)
							if _, err := tx.LockRows("rows", "id", "n", []string{key}); err != nil {
								return err
							}
							if _, err := tx.Exec(`UPDATE rows SET n = n + 1 WHERE id = ?`, key); err != nil {
								return err
							}
							var n int
							if err := tx.QueryRow(`SELECT n FROM rows WHERE id = ?`, key).Scan(&n); err != nil {
								return err
							}
							return tx.Enqueue(Message{EventID: fmt.Sprint(key, "-", n), Topic: "t", Key: key, Payload: fmt.Append(nil, n)})
						})
						if err != nil {
							t.Error(err)
						}
					}
				})
			}
		}
		last, seen := map[string]int{}, 0
		for seen < len(dbs)*keys*each && !t.Failed() {
			pending, err := dbs[0].Pending(t.Context(), 7)
			if err != nil {
				t.Fatal(err)
			}
			var ids []int64
			for _, m := range pending {
				var n int
				fmt.Sscan(string(m.Payload), &n)
				if last[m.Key] != 0 && n != last[m.Key]+1 {
					t.Errorf("key %s: %d comes after %d", m.Key, n, last[m.Key])
				}
				last[m.Key] = n
				ids = append(ids, m.ID)
			}
			if err := dbs[0].MarkPublished(t.Context(), ids); err != nil {
				t.Fatal(err)
			}
			seen += len(ids)
		}
		writers.Wait()
	})
}

func TestRedactShowsNoPassword(t *testing.T) {
	for path, want := range map[string]string{
		"/data/order.db":                         "/data/order.db",
		"postgres://u:secret@h:5432/d":           "postgres://u:xxxxx@h:5432/d",
		"postgres://h/d?user=u&password=secret":  "postgres://h/d?password=xxxxx&user=u",
		"postgres://u:secret%zz@h:5432/d":        "postgres://...",
		"postgresql://u@h/d?sslmode=verify-full": "postgresql://u@h/d?sslmode=verify-full",
	} {
		if got := Redact(path); got != want {
			t.Errorf("%s is shown as %s, want %s", path, got, want)
		}
	}
}

func TestArgumentsAreNumbered(t *testing.T) {
	for q, want := range map[string]string{
		`SELECT 1`:                          `SELECT 1`,
		`SELECT ? WHERE a = ?`:              `SELECT $1 WHERE a = $2`,
		`SELECT '?', 'it''s ?' WHERE a = ?`: `SELECT '?', 'it''s ?' WHERE a = $1`,
	} {
		if got := (server{}).sql(q); got != want {
			t.Errorf("%s is %s, want %s", q, got, want)
		}
	}
}

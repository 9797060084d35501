package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ordbench/ordbench/system/store/storetest"
)

func enqueue(n int) func(*Tx) error {
	return func(tx *Tx) error {
		return tx.Enqueue(Message{EventID: fmt.Sprint("e", n), Topic: "orders-topic", Key: fmt.Sprint("k", n), Payload: []byte{byte(n), 0, 0xff}, Traceparent: origin(n)})
	}
}

// origin is the span that enqueue writes event n in: every second has one.
func origin(n int) string {
	if n%2 == 0 {
		return ""
	}
	return fmt.Sprintf("00-%032x-%016x-01", n, n)
}

func TestOutboxKeepsOrderAndContentUntilPublished(t *testing.T) {
	each(t, func(t *testing.T, db *DB) {
		const n = 200
		var fns []func(*Tx) error
		for i := range n {
			fns = append(fns, enqueue(i))
		}
		for _, err := range together(t, db, fns...) {
			if err != nil {
				t.Fatal(err)
			}
		}
		pending, err := db.Pending(t.Context(), 150)
		if err != nil {
			t.Fatal(err)
		}
		if len(pending) != 150 {
			t.Fatalf("%d pending, want the limit of 150", len(pending))
		}
		var ids []int64
		for i, m := range pending {
			if m.EventID != fmt.Sprint("e", i) || m.Key != fmt.Sprint("k", i) || m.Topic != "orders-topic" || !bytes.Equal(m.Payload, []byte{byte(i), 0, 0xff}) || m.Traceparent != origin(i) {
				t.Fatalf("row %d is %+v", i, m)
			}
			ids = append(ids, m.ID)
		}
		if err := db.MarkPublished(t.Context(), ids); err != nil {
			t.Fatal(err)
		}
		if err := db.MarkPublished(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		pending, err = db.Pending(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		if len(pending) != 50 || pending[0].EventID != "e150" {
			t.Fatalf("%d pending after 150 were published, want 50 from e150", len(pending))
		}
		if kept := count(t, db, `SELECT count(*) FROM outbox`); kept != n {
			t.Errorf("%d rows kept for the audit, want %d", kept, n)
		}
	})
}

func TestOutboxRowStandsOnlyWithItsTransaction(t *testing.T) {
	each(t, func(t *testing.T, db *DB) {
		wrong := errors.New("no stock")
		err := db.Write(t.Context(), func(tx *Tx) error { return errors.Join(enqueue(1)(tx), wrong) })
		if !errors.Is(err, wrong) {
			t.Fatal(err)
		}
		select {
		case <-db.Wake():
			t.Error("woken for what was undone")
		default:
		}
		if pending, err := db.Pending(t.Context(), 10); err != nil || len(pending) != 0 {
			t.Errorf("pending %v, %v; want none", pending, err)
		}
	})
}

func TestOutboxWakesOncePerBacklog(t *testing.T) {
	each(t, func(t *testing.T, db *DB) {
		for i := range 3 {
			if err := db.Write(t.Context(), enqueue(i)); err != nil {
				t.Fatal(err)
			}
		}
		<-db.Wake()
		select {
		case <-db.Wake():
			t.Error("woken twice for the same backlog")
		default:
		}
		if err := db.Write(t.Context(), insert("a")); err != nil {
			t.Fatal(err)
		}
		select {
		case <-db.Wake():
			t.Error("woken by a commit without an event")
		default:
		}
	})
}

func TestOutboxRefusesWhatCannotBePublished(t *testing.T) {
	each(t, func(t *testing.T, db *DB) {
		for name, m := range map[string]Message{
			"no id":    {Topic: "t"},
			"no topic": {EventID: "e"},
		} {
			if err := db.Write(t.Context(), func(tx *Tx) error { return tx.Enqueue(m) }); err == nil {
				t.Errorf("%s: accepted", name)
			}
		}
		if err := db.Write(t.Context(), enqueue(1)); err != nil {
			t.Fatal(err)
		}
		err := db.Write(t.Context(), enqueue(1))
		if err == nil || !strings.Contains(err.Error(), "e1") {
			t.Errorf("the same event twice: %v", err)
		}
		err = db.Write(t.Context(), func(tx *Tx) error { return tx.Enqueue(Message{EventID: "empty", Topic: "t"}) })
		if err != nil {
			t.Errorf("an event without a payload: %v", err)
		}
	})
}

// A relay asks for what is pending all the time, over a table that keeps all
// that was ever published.
func TestOutboxIsReadThroughItsPartialIndex(t *testing.T) {
	db := opened(t, storetest.SQLite)
	rows, err := db.Query(t.Context(), `EXPLAIN QUERY PLAN SELECT id, event_id, topic, key, payload FROM outbox
		WHERE published_at IS NULL ORDER BY id LIMIT ?`, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var plan []string
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		plan = append(plan, detail)
	}
	if got := strings.Join(plan, "; "); !strings.Contains(got, "outbox_unpublished") || strings.Contains(got, "TEMP B-TREE") {
		t.Errorf("plan %q", got)
	}
}

func TestAwaitPublishedWaitsForWhatIsThereNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := opened(t, storetest.SQLite)
		db.AwaitPublished(t.Context()) // nothing to wait for
		for i := range 2 {
			if err := db.Write(t.Context(), enqueue(i)); err != nil {
				t.Fatal(err)
			}
		}
		pending, err := db.Pending(t.Context(), 2)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		var relay sync.WaitGroup
		relay.Go(func() { // publishes these two, while a third comes in
			time.Sleep(publishedWithin / 2)
			err := errors.Join(
				db.Write(t.Context(), enqueue(2)),
				db.MarkPublished(t.Context(), []int64{pending[0].ID, pending[1].ID}))
			if err != nil {
				t.Error(err)
			}
		})
		db.AwaitPublished(t.Context())
		took := time.Since(start)
		relay.Wait()
		if took < publishedWithin/2 || took > publishedWithin/2+10*time.Millisecond {
			t.Errorf("waited for %s, want until just after %s", took, publishedWithin/2)
		}
		start = time.Now()
		db.AwaitPublished(t.Context()) // the third has no relay
		if took := time.Since(start); took != publishedWithin {
			t.Errorf("gave up after %s, want %s", took, publishedWithin)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		start = time.Now()
		db.AwaitPublished(ended)
		if took := time.Since(start); took != 0 {
			t.Errorf("an ended context was waited for: %s", took)
		}
	})
}

func TestInboxKnowsTheFirstTime(t *testing.T) {
	each(t, func(t *testing.T, db *DB) {
		handle := func(consumer, event string, then error) (first bool) {
			t.Helper()
			err := db.Write(t.Context(), func(tx *Tx) (err error) {
				if first, err = tx.FirstTime(consumer, event); err != nil {
					return err
				}
				return then
			})
			if !errors.Is(err, then) {
				t.Fatal(err)
			}
			return first
		}
		wrong := errors.New("undone")
		for _, step := range []struct {
			name            string
			consumer, event string
			then            error
			first           bool
		}{
			{"first delivery, handling fails", "inventory", "e1", wrong, true},
			{"delivered again after the failure", "inventory", "e1", nil, true},
			{"delivered again after it was handled", "inventory", "e1", nil, false},
			{"another consumer", "order", "e1", nil, true},
			{"another event", "inventory", "e2", nil, true},
		} {
			if first := handle(step.consumer, step.event, step.then); first != step.first {
				t.Errorf("%s: first time %v, want %v", step.name, first, step.first)
			}
		}
	})
}

func TestInboxLetsOneOfManyDeliveriesThrough(t *testing.T) {
	each(t, func(t *testing.T, db *DB) {
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				err := db.Write(context.Background(), func(tx *Tx) error {
					first, err := tx.FirstTime("c", "e")
					if err != nil || !first {
						return err
					}
					return insert("effect")(tx)
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	})
}

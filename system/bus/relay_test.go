package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
)

// row stands in for the store's message.
type row struct {
	ID                  int64
	EventID, Topic, Key string
	Payload             []byte
	Traceparent         string
}

// origin is the span that wrote a row: every second row has one.
func origin(id int64) string {
	if id%2 == 0 {
		return ""
	}
	return fmt.Sprintf("00-%032x-%016x-01", id, id)
}

// box is an outbox in memory; markFails makes that many marks fail.
type box struct {
	mu        sync.Mutex
	rows      []row
	published map[int64]bool
	markFails int
	wake      chan struct{}
	empty     chan struct{} // closed when all rows are marked
	leased    sync.Mutex
	lose      context.CancelFunc // the lease
}

func newBox() *box {
	return &box{published: map[int64]bool{}, wake: make(chan struct{}, 1), empty: make(chan struct{})}
}

func (b *box) add(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for range n {
		id := int64(len(b.rows) + 1)
		b.rows = append(b.rows, row{ID: id, EventID: fmt.Sprint(id), Topic: "orders", Key: fmt.Sprint(id % 5), Payload: []byte(fmt.Sprint(id)), Traceparent: origin(id)})
	}
	b.empty = make(chan struct{})
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func (b *box) Lease(ctx context.Context, _ string) (context.Context, func(), error) {
	b.leased.Lock()
	held, cancel := context.WithCancel(ctx)
	b.mu.Lock()
	b.lose = cancel
	b.mu.Unlock()
	return held, func() { cancel(); b.leased.Unlock() }, nil
}

func (b *box) Pending(_ context.Context, limit int) ([]row, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var rows []row
	for _, r := range b.rows {
		if !b.published[r.ID] && len(rows) < limit {
			rows = append(rows, r)
		}
	}
	return rows, nil
}

func (b *box) MarkPublished(_ context.Context, ids []int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.markFails > 0 {
		b.markFails--
		return errors.New("disk is full")
	}
	for _, id := range ids {
		b.published[id] = true
	}
	if len(b.published) == len(b.rows) {
		close(b.empty)
	}
	return nil
}

func (b *box) Wake() <-chan struct{} { return b.wake }

func (b *box) drained(ctx context.Context, t *testing.T) {
	t.Helper()
	b.mu.Lock()
	empty := b.empty
	b.mu.Unlock()
	select {
	case <-empty:
	case <-ctx.Done():
		t.Fatal("rows were left unpublished")
	}
}

func TestRelayPublishesEveryRowInOrder(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	broker := newBrokerProcess(t) // comes up only after rows are there
	brokers := []string{broker.addr}
	pub := NewPublisher(brokers)
	defer pub.Close()
	b := newBox()
	b.markFails = 1 // as a crash after the publish would look
	b.add(600)

	own, stop := context.WithCancel(ctx)
	var relays sync.WaitGroup
	for range 2 { // one works, the other stands by
		relays.Go(func() {
			if err := RunRelay(own, b, RelayConfig{Publisher: pub}); err != nil {
				t.Error(err)
			}
		})
	}
	broker.start()
	if err := EnsureTopics(ctx, brokers, 3, "orders"); err != nil {
		t.Fatal(err)
	}
	b.drained(ctx, t)
	broker.kill()
	b.add(300)
	b.mu.Lock()
	b.lose() // whoever relays goes to the end of the queue
	b.mu.Unlock()
	broker.start()
	b.drained(ctx, t)
	stop()
	relays.Wait()

	seen, last := map[string]bool{}, map[string]int{}
	err := ReadTopic(ctx, brokers, "orders", func(m Message) error {
		var id int
		fmt.Sscan(string(m.Value), &id)
		if !seen[string(m.Value)] && id < last[m.Key] {
			t.Errorf("key %s: %d came first after %d", m.Key, id, last[m.Key])
		}
		if got := m.Header(Traceparent); got != origin(int64(id)) {
			t.Errorf("row %d comes from %q, want %q", id, got, origin(int64(id)))
		}
		seen[string(m.Value)] = true
		last[m.Key] = max(last[m.Key], id)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(seen) != 900 {
		t.Errorf("%d of 900 rows are in the topic", len(seen))
	}
}

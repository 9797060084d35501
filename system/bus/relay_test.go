package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
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
	relays    map[*part]bool
	taken     map[int]bool // lanes
	failing   bool         // to tell who holds what
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

// part is what one relay has of a box. Each key is a lane.
type part struct {
	*box
	held []int
}

const lanes = 5

func (p *part) BalanceLanes(context.Context) ([]int, int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failing {
		p.free(p.held)
		p.held = nil
		return nil, 0, errors.New("the server is away")
	}
	if p.relays == nil {
		p.relays, p.taken = map[*part]bool{}, map[int]bool{}
	}
	p.relays[p] = true
	share := (lanes + len(p.relays) - 1) / len(p.relays)
	if len(p.held) > share {
		p.free(p.held[share:])
		p.held = p.held[:share]
	}
	for lane := 0; lane < lanes && len(p.held) < share; lane++ {
		if !p.taken[lane] {
			p.taken[lane] = true
			p.held = append(p.held, lane)
		}
	}
	return slices.Clone(p.held), len(p.relays), nil
}

func (p *part) LeaveLanes(context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free(p.held)
	p.held = nil
	delete(p.relays, p)
	return nil
}

func (b *box) free(held []int) {
	for _, lane := range held {
		delete(b.taken, lane)
	}
}

func (p *part) PendingIn(_ context.Context, in []int, limit int) ([]row, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var rows []row
	for _, r := range p.rows {
		if !p.published[r.ID] && len(rows) < limit && slices.Contains(in, int(r.ID%lanes)) {
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
	for range 2 { // each has a part of the lanes
		relays.Go(func() {
			if err := RunRelay(own, &part{box: b}, RelayConfig{Publisher: pub}); err != nil {
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
	fails := func(is bool) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.failing = is
	}
	fails(true) // every lane is lost, and taken anew by whoever comes first
	broker.start()
	fails(false)
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

// looked counts the looks of all relays.
type looked struct {
	*part
	looks *atomic.Int64
}

func (l looked) PendingIn(ctx context.Context, in []int, limit int) ([]row, error) {
	l.looks.Add(1)
	return l.part.PendingIn(ctx, in, limit)
}

// Relays that have nothing to do look no more often together than one does,
// however many they are.
func TestManyRelaysShareTheLooksOfOne(t *testing.T) {
	for _, relays := range []int{1, 2, 5, 20} {
		t.Run(fmt.Sprint(relays), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const lasts = 10 * time.Second
				ctx, cancel := context.WithTimeout(t.Context(), lasts)
				defer cancel()
				b, looks := newBox(), new(atomic.Int64)
				var all sync.WaitGroup
				for range relays {
					all.Go(func() {
						if err := RunRelay(ctx, looked{&part{box: b}, looks}, RelayConfig{}); err != nil {
							t.Error(err)
						}
					})
				}
				all.Wait()
				// At first each takes itself for the only one.
				if most := int64(lasts/relayPoll) + int64(relays)*int64(relayBalance/relayPoll); looks.Load() > most {
					t.Errorf("%d looks in %v, more than %d", looks.Load(), lasts, most)
				}
			})
		})
	}
}

package bus

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

// employed is Consume's member with so many workers.
func employed(ctx context.Context, brokers []string, name string, workers int, handle Handler) *member {
	ctx, stop := context.WithCancel(ctx)
	m := &member{stop: stop, ended: make(chan error, 1)}
	go func() {
		m.ended <- Consume(ctx, ConsumerConfig{
			Brokers: brokers, Group: "group", Topics: []string{"orders"}, Member: name,
			MaxBatch: 4, Concurrency: workers, CommitInterval: 10 * time.Millisecond,
		}, handle)
	}()
	return m
}

// One message of a partition takes long. Those of other keys behind it are
// handled meanwhile, that of its own key waits, and no offset above it is
// committed: who is killed then sees all of them again.
func TestOneKeyDoesNotHoldUpThoseBehindIt(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	brokers := memoryBroker(t, 1, "orders")
	pub := NewPublisher(brokers)
	defer pub.Close()
	const others = 40
	send := func(key, value string) {
		if err := pub.Publish(ctx, Message{Topic: "orders", Key: key, Value: []byte(value)}); err != nil {
			t.Fatal(err)
		}
	}
	send("before", "before")
	send("slow", "slow")
	send("slow", "after slow")
	for i := range others {
		send(fmt.Sprint("key-", i), fmt.Sprint(i))
	}

	begun, free := make(chan struct{}), make(chan struct{})
	seen := newBook()
	handle := func(ctx context.Context, batch []Message) error {
		for _, m := range batch {
			if string(m.Value) == "slow" {
				close(begun)
				<-free
			}
		}
		return seen.handle(ctx, batch)
	}
	// With so many workers at least half of the keys are not with the slow one.
	m := employed(ctx, brokers, "inventory-0", 8, handle)
	<-begun
	seen.await(ctx, t, others/2)
	seen.mu.Lock()
	if seen.seen["after slow"] > 0 {
		t.Error("two messages of a key at the same time")
	}
	seen.mu.Unlock()

	// Its offsets are those of a member that is killed now.
	lag, err := readLag(ctx, brokers, "group", "orders")
	if err != nil {
		t.Fatal(err)
	}
	if n := lag.Total(); n < others+2 {
		t.Errorf("%d messages are behind the committed offset, and the lowest unfinished one is %d from the end", n, others+2)
	}
	close(free)
	seen.await(ctx, t, others+3)
	m.leave(t)
	if lag, err := readLag(ctx, brokers, "group", "orders"); err != nil || lag.Total() != 0 {
		t.Errorf("lag after it left: %d, %v; want 0", lag.Total(), err)
	}
	if n := seen.repeated(); n != 0 {
		t.Errorf("%d messages were handled more than once", n)
	}
}

// Members with several workers come and go. Each key keeps its order, and an
// orderly change repeats nothing.
func TestWorkersKeepTheOrderOfEachKeyThroughRebalances(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	brokers := memoryBroker(t, 4, "orders")
	pub := NewPublisher(brokers)
	defer pub.Close()
	const keys, each = 30, 40

	var mu sync.Mutex
	order := map[string][]string{}
	seen := newBook()
	handle := func(ctx context.Context, batch []Message) error {
		mu.Lock()
		for _, m := range batch {
			order[m.Key] = append(order[m.Key], string(m.Value))
		}
		mu.Unlock()
		return seen.handle(ctx, batch)
	}
	sent := 0
	publish := func(n int) {
		var msgs []Message
		for range n {
			for k := range keys {
				msgs = append(msgs, Message{Topic: "orders", Key: fmt.Sprint("key-", k), Value: fmt.Appendf(nil, "%d %06d", k, sent)})
			}
			sent++
		}
		if err := pub.Publish(ctx, msgs...); err != nil {
			t.Fatal(err)
		}
	}
	var members []*member
	for i := range 4 {
		members = append(members, employed(ctx, brokers, fmt.Sprint("inventory-", i), 3, handle))
		publish(each / 8)
	}
	for _, m := range members[1:] {
		publish(each / 8)
		m.leave(t)
	}
	publish(each - sent)
	seen.await(ctx, t, keys*each)
	members[0].leave(t)
	for key, values := range order {
		if !slices.IsSorted(values) {
			t.Errorf("%s was handled in the order %v", key, values)
		}
	}
	if n := seen.repeated(); n != 0 {
		t.Errorf("%d messages were handled more than once", n)
	}
}

package bus

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

func TestEnsureTopicsWaitsForTheBroker(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	b := newBrokerProcess(t)
	ensured := make(chan error, 1)
	go func() { ensured <- EnsureTopics(ctx, []string{b.addr}, 5, "orders", "stock") }()
	b.start()
	if err := <-ensured; err != nil {
		t.Fatal(err)
	}
	if err := EnsureTopics(ctx, []string{b.addr}, 5, "stock", "orders"); err != nil {
		t.Errorf("a second time: %v", err)
	}
	if err := EnsureTopics(ctx, []string{b.addr}, 6, "orders"); !errors.Is(err, errPartitions) {
		t.Errorf("another number of partitions: %v", err)
	}
}

func TestEnsureTopicsEndsWhileTheBrokerIsDown(t *testing.T) {
	t.Parallel()
	b := newBrokerProcess(t)
	ctx, cancel := context.WithCancel(deadline(t))
	cancel()
	if err := EnsureTopics(ctx, []string{b.addr}, 5, "orders"); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

func TestReadTopicReadsWhatIsThereWhenItBegins(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	brokers := memoryBroker(t, 4, "orders", "empty")
	pub := NewPublisher(brokers)
	defer pub.Close()
	if err := pub.Publish(ctx, numbered(0, 100)...); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	err := ReadTopic(ctx, brokers, "orders", func(m Message) error {
		if len(seen) == 0 { // what comes later is not part of the audit
			if err := pub.Publish(ctx, numbered(100, 200)...); err != nil {
				return err
			}
		}
		if seen[string(m.Value)] {
			return fmt.Errorf("%s came twice", m.Value)
		}
		seen[string(m.Value)] = true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(seen) != 100 {
		t.Errorf("read %d messages, want the first 100", len(seen))
	}
	err = ReadTopic(ctx, brokers, "empty", func(m Message) error { return fmt.Errorf("found %v", m) })
	if err != nil {
		t.Errorf("empty topic: %v", err)
	}
}

func TestReadTopicReturnsTheErrorOfItsCaller(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	brokers := memoryBroker(t, 2, "orders")
	pub := NewPublisher(brokers)
	defer pub.Close()
	if err := pub.Publish(ctx, numbered(0, 10)...); err != nil {
		t.Fatal(err)
	}
	full := errors.New("the book is full")
	if err := ReadTopic(ctx, brokers, "orders", func(Message) error { return full }); !errors.Is(err, full) {
		t.Fatalf("got %v", err)
	}
}

func TestReadTopicGoesOnAfterTheBrokerWasAway(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	b := newBrokerProcess(t)
	b.start()
	brokers := []string{b.addr}
	if err := EnsureTopics(ctx, brokers, 3, "orders"); err != nil {
		t.Fatal(err)
	}
	pub := NewPublisher(brokers)
	defer pub.Close()
	// More than one answer holds.
	for i := range 40 {
		msgs := numbered(i*10, i*10+10)
		for j := range msgs {
			msgs[j].Value = append(msgs[j].Value, make([]byte, 100<<10)...)
		}
		if err := pub.Publish(ctx, msgs...); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[string]int{}
	err := ReadTopic(ctx, brokers, "orders", func(m Message) error {
		if seen[m.Key]++; len(seen) == 50 {
			b.kill()
			b.start()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for key, times := range seen {
		if times != 1 {
			t.Errorf("%s was read %d times", key, times)
		}
	}
	if len(seen) != 400 {
		t.Errorf("%d of 400 messages were read", len(seen))
	}
}

package bus

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"
)

// Promises holds what the system relies on for a broker, whichever it is.
func Promises(t *testing.T, brokers []string) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	// A broker may have seen these tests before.
	topic := fmt.Sprintf("promises-%d", time.Now().UnixNano())
	const partitions, keys, each = 6, 20, 25
	for range 2 { // the second time there is nothing to do
		if err := EnsureTopics(ctx, brokers, partitions, topic); err != nil {
			t.Fatal(err)
		}
	}
	pub := NewPublisher(brokers)
	defer pub.Close()
	for n := range each {
		var batch []Message
		for k := range keys {
			batch = append(batch, Message{
				Topic: topic, Key: fmt.Sprint(k), Value: fmt.Append(nil, k, "-", n),
				Headers: Traced(origin(int64(n))),
			})
		}
		if err := pub.Publish(ctx, batch...); err != nil {
			t.Fatal(err)
		}
	}

	next, home := map[string]int{}, map[string]int{}
	err := ReadTopic(ctx, brokers, topic, func(m Message) error {
		if got, want := string(m.Value), fmt.Sprint(m.Key, "-", next[m.Key]); got != want {
			t.Errorf("key %s: %s comes where %s should", m.Key, got, want)
		}
		if got, want := m.Header(Traceparent), origin(int64(next[m.Key])); got != want {
			t.Errorf("%s comes from %q, want %q", m.Value, got, want)
		}
		if p, seen := home[m.Key]; seen && p != m.Partition {
			t.Errorf("key %s is in partitions %d and %d", m.Key, p, m.Partition)
		}
		home[m.Key] = m.Partition
		next[m.Key]++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for k := range keys {
		if n := next[fmt.Sprint(k)]; n != each {
			t.Errorf("key %d: %d of %d acknowledged messages are in the topic", k, n, each)
		}
	}

	// Members come and go in order: each message is handled, and once.
	b := newBook()
	group := topic + "-group"
	consume := func() (leave func()) {
		own, stop := context.WithCancel(ctx)
		ready := make(chan struct{})
		var once sync.Once
		ended := make(chan error, 1)
		go func() {
			ended <- Consume(own, ConsumerConfig{
				Brokers: brokers, Group: group, Topics: []string{topic}, OnReady: func() { once.Do(func() { close(ready) }) },
			}, b.handle)
		}()
		select {
		case <-ready:
		case <-ctx.Done():
			t.Fatal("a member never became ready")
		}
		return func() {
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	}
	first := consume()
	second := consume()
	b.await(ctx, t, keys*each)
	first()
	if err := pub.Publish(ctx, Message{Topic: topic, Key: "late", Value: []byte("late")}); err != nil {
		t.Fatal(err)
	}
	b.await(ctx, t, keys*each+1)
	second()
	if n := b.repeated(); n != 0 {
		t.Errorf("%d messages were handled more than once", n)
	}
	lag, err := readLag(ctx, brokers, group, topic)
	if err != nil || lag.Total() != 0 {
		t.Errorf("lag after all left: %d, %v; want 0", lag.Total(), err)
	}
}

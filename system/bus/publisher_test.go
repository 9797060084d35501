package bus

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/segmentio/kafka-go"
)

func TestMessagesOfOneKeyStayInOrder(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	brokers := memoryBroker(t, 7, "orders", "stock")
	pub := NewPublisher(brokers)
	defer pub.Close()

	const keys, each = 30, 20
	for n := range each {
		var msgs []Message
		for k := range keys {
			msgs = append(msgs,
				Message{Topic: "orders", Key: fmt.Sprint(k), Value: []byte(fmt.Sprint(n))},
				Message{Topic: "stock", Key: fmt.Sprint(k), Value: []byte("s")})
		}
		if err := pub.Publish(ctx, msgs...); err != nil {
			t.Fatal(err)
		}
	}
	next, home := map[string]int{}, map[string]int{}
	err := ReadTopic(ctx, brokers, "orders", func(m Message) error {
		if string(m.Value) != fmt.Sprint(next[m.Key]) {
			t.Errorf("key %s: %s came in place of %d", m.Key, m.Value, next[m.Key])
		}
		if p, ok := home[m.Key]; ok && p != m.Partition {
			t.Errorf("key %s is in partitions %d and %d", m.Key, p, m.Partition)
		}
		if m.Topic != "orders" || m.Time.IsZero() {
			t.Errorf("message lacks its topic or time: %+v", m)
		}
		next[m.Key]++
		home[m.Key] = m.Partition
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for k := range keys {
		if next[fmt.Sprint(k)] != each {
			t.Errorf("key %d: %d of %d messages", k, next[fmt.Sprint(k)], each)
		}
	}
}

func TestKeysGoWhereOtherKafkaClientsSendThem(t *testing.T) {
	var p Publisher
	var hash kafka.Hash
	partitions := make([]int, 40)
	for i := range 1000 {
		key := fmt.Sprintf("order-%d", i)
		want := hash.Balance(kafka.Message{Key: []byte(key)}, partitions...)
		if got := p.partition(key, len(partitions)); got != want {
			t.Fatalf("key %s: partition %d, want %d", key, got, want)
		}
	}
	seen := map[int]bool{}
	for range 40 {
		seen[p.partition("", 40)] = true
	}
	if len(seen) != 40 {
		t.Errorf("40 messages without a key went to %d partitions", len(seen))
	}
}

func TestPublishReportsWhatFailed(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	pub := NewPublisher(memoryBroker(t, 1, "orders"))
	defer pub.Close()
	if err := pub.Publish(ctx); err != nil {
		t.Errorf("nothing to publish: %v", err)
	}
	err := pub.Publish(ctx, Message{Topic: "absent", Value: []byte("x")})
	if !errors.Is(err, kafka.UnknownTopicOrPartition) {
		t.Errorf("publish to a topic that does not exist: %v", err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if err := pub.Publish(ended, numbered(0, 1)...); !errors.Is(err, context.Canceled) {
		t.Errorf("publish after the end: %v", err)
	}
}

func TestHeadersTravelWithTheirMessage(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	brokers := memoryBroker(t, 1, "orders")
	pub := NewPublisher(brokers)
	defer pub.Close()
	want := [][]Header{
		{{Key: "traceparent", Value: "00-1"}, {Key: "attempts", Value: "3"}, {Key: "empty"}},
		nil,
		{{Key: "traceparent", Value: "00-2"}},
	}
	for _, headers := range want {
		if err := pub.Publish(ctx, Message{Topic: "orders", Value: []byte("x"), Headers: headers}); err != nil {
			t.Fatal(err)
		}
	}
	var got [][]Header
	err := ReadTopic(ctx, brokers, "orders", func(m Message) error {
		got = append(got, m.Headers)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("headers (-sent +read):\n%s", diff)
	}
	m := Message{Headers: want[0]}
	if got := m.Header("attempts"); got != "3" {
		t.Errorf("attempts are %q", got)
	}
	if got := m.Header("absent"); got != "" {
		t.Errorf("a header that is not there is %q", got)
	}
}

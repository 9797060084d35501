package bus

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestFetchOfALostOffsetStartsOver(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	brokers := memoryBroker(t, 1, "orders")
	pub := NewPublisher(brokers)
	defer pub.Close()
	if err := pub.Publish(ctx, numbered(0, 5)...); err != nil {
		t.Fatal(err)
	}
	c := newCluster(brokers)
	defer c.close()
	p := &position{topic: "orders", offset: 1000}
	var got []int64
	read := func() {
		t.Helper()
		err := c.fetch(ctx, brokers[0], []*position{p}, time.Second, func(m Message) error {
			got = append(got, m.Offset)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	read()
	if len(got) != 0 || p.offset != 0 {
		t.Fatalf("after the first fetch: read %v, next %d", got, p.offset)
	}
	read()
	if len(got) != 5 || p.offset != 5 {
		t.Fatalf("after the second fetch: read %v, next %d", got, p.offset)
	}
}

func TestFetchInTheMiddleOfABatchSkipsWhatWasRead(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	brokers := memoryBroker(t, 1, "orders")
	pub := NewPublisher(brokers)
	defer pub.Close()
	if err := pub.Publish(ctx, numbered(0, 10)...); err != nil {
		t.Fatal(err)
	}
	c := newCluster(brokers)
	defer c.close()
	p := &position{topic: "orders", offset: 3}
	full := errors.New("full")
	want := int64(3)
	take := func(until int64) func(Message) error {
		return func(m Message) error {
			if m.Offset != want {
				t.Errorf("offset %d came in place of %d", m.Offset, want)
			}
			if m.Offset == until {
				return full
			}
			want++
			return nil
		}
	}
	if err := c.fetch(ctx, brokers[0], []*position{p}, time.Second, take(6)); !errors.Is(err, full) || p.offset != 6 {
		t.Fatalf("%v, next %d; want %v and 6: what was refused comes again", err, p.offset, full)
	}
	if err := c.fetch(ctx, brokers[0], []*position{p}, time.Second, take(-1)); err != nil || p.offset != 10 {
		t.Fatalf("%v, next %d", err, p.offset)
	}
}

func TestFetchThatIsCutOffLeavesNoAnswerForTheNext(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	brokers := memoryBroker(t, 1, "orders")
	c := newCluster(brokers)
	defer c.close()
	positions := []*position{{topic: "orders"}}
	if _, err := c.listOffsets(ctx, brokers[0], positions, -1); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithCancel(ctx)
	go cancel()
	err := c.fetch(short, brokers[0], positions, 30*time.Second, func(Message) error { return nil })
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("cut off: %v", err)
	}
	if _, err := c.listOffsets(ctx, brokers[0], positions, -1); err != nil {
		t.Fatalf("the next request: %v", err)
	}
	c.close()
	if _, err := c.listOffsets(ctx, brokers[0], positions, -1); err == nil {
		t.Error("a closed cluster answered")
	}
}

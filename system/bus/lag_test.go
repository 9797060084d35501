package bus

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLagCountsWhatIsNotCommitted(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	brokers := memoryBroker(t, 2, "orders")
	pub := NewPublisher(brokers)
	defer pub.Close()
	r := NewLagReader(brokers)
	defer r.Close()

	read := func() Lag {
		t.Helper()
		lag, err := r.Read(ctx, "group", "orders")
		if err != nil {
			t.Fatal(err)
		}
		return lag
	}
	want := Lag{Group: "group", Topic: "orders", Partitions: []PartitionLag{
		{Partition: 0, Latest: 0, Committed: -1, Lag: 0},
		{Partition: 1, Latest: 0, Committed: -1, Lag: 0},
	}}
	if diff := cmp.Diff(want, read()); diff != "" {
		t.Errorf("empty topic, unknown group (-want +got):\n%s", diff)
	}
	if err := pub.Publish(ctx, numbered(0, 100)...); err != nil {
		t.Fatal(err)
	}
	if lag := read(); lag.Total() != 100 || lag.Partitions[1].Committed != -1 {
		t.Errorf("without a commit: %+v", lag)
	}
	b := newBook()
	m := join(ctx, t, brokers, b.handle)
	b.await(ctx, t, 100)
	m.leave(t)
	if err := pub.Publish(ctx, numbered(100, 107)...); err != nil {
		t.Fatal(err)
	}
	lag := read()
	if lag.Total() != 7 {
		t.Errorf("after 100 of 107: %+v", lag)
	}
	for _, p := range lag.Partitions {
		if p.Lag != p.Latest-p.Committed {
			t.Errorf("partition %d: %d - %d is not %d", p.Partition, p.Latest, p.Committed, p.Lag)
		}
	}
}

func TestLagReaderComesBackWithTheBroker(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	b := newBrokerProcess(t)
	b.start()
	brokers := []string{b.addr}
	if err := EnsureTopics(ctx, brokers, 2, "orders"); err != nil {
		t.Fatal(err)
	}
	r := NewLagReader(brokers)
	defer r.Close()
	if _, err := r.Read(ctx, "group", "orders"); err != nil {
		t.Fatal(err)
	}
	b.kill()
	if _, err := r.Read(ctx, "group", "orders"); err == nil {
		t.Error("a dead broker answered")
	}
	b.start()
	if _, err := r.Read(ctx, "group", "orders"); err != nil {
		t.Error(err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := r.Read(ended, "group", "orders"); err == nil {
		t.Error("read after the end")
	}
}

package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/describegroups"
	"github.com/segmentio/kafka-go/protocol/joingroup"
)

func TestOrderlyChangesOfMembersLoseAndRepeatNothing(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	brokers := memoryBroker(t, 40, "orders")
	pub := NewPublisher(brokers)
	defer pub.Close()
	b := newBook()

	sent := 0
	publish := func() {
		for range 20 {
			if err := pub.Publish(ctx, numbered(sent, sent+10)...); err != nil {
				t.Fatal(err)
			}
			sent += 10
		}
	}
	var members []*member
	for range 8 {
		publish()
		members = append(members, join(ctx, t, brokers, b.handle))
		publish()
	}
	b.await(ctx, t, sent)
	for _, m := range members[1:] {
		publish()
		m.leave(t)
		publish()
	}
	b.await(ctx, t, sent)
	members[0].leave(t)
	if n := b.repeated(); n != 0 {
		t.Errorf("%d of %d messages were handled more than once", n, sent)
	}
	lag, err := readLag(ctx, brokers, "group", "orders")
	if err != nil || lag.Total() != 0 {
		t.Errorf("lag after all left: %d, %v; want 0", lag.Total(), err)
	}
}

func TestTwentyMembersAtOnceLoseAndRepeatNothing(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	brokers := memoryBroker(t, 40, "orders")
	pub := NewPublisher(brokers)
	defer pub.Close()
	b := newBook()

	sent := 0
	publish := func() {
		if err := pub.Publish(ctx, numbered(sent, sent+500)...); err != nil {
			t.Fatal(err)
		}
		sent += 500
	}
	members := make([]*member, 20)
	var wait sync.WaitGroup
	for i := range members {
		wait.Go(func() { members[i] = join(ctx, t, brokers, b.handle) })
		if i%5 == 0 {
			publish()
		}
	}
	wait.Wait()
	publish()
	for i, m := range members[1:] {
		wait.Go(func() { m.leave(t) })
		if i%5 == 0 {
			publish()
		}
	}
	wait.Wait()
	publish()
	b.await(ctx, t, sent)
	members[0].leave(t)
	if n := b.repeated(); n != 0 {
		t.Errorf("%d of %d messages were handled more than once", n, sent)
	}
}

// Each rebalance holds up the whole group, so those that come one after the
// other to a group at work are few rebalances.
func TestNewcomersJoinAGroupAtWorkTogether(t *testing.T) {
	t.Parallel()
	ctx, leave := context.WithCancel(deadline(t))
	brokers := memoryBroker(t, 8, "orders")
	var (
		generations generations
		members     sync.WaitGroup
	)
	arrive := func(name string) (ready chan struct{}) {
		ready = make(chan struct{})
		members.Go(func() {
			err := Consume(ctx, ConsumerConfig{
				Brokers: brokers, Group: "group", Topics: []string{"orders"}, Member: name,
				OnReady: func() { close(ready) }, Log: slog.New(&generations),
			}, func(context.Context, []Message) error { return nil })
			if err != nil {
				t.Error(err)
			}
		})
		return ready
	}
	<-arrive("first")
	before := generations.last.Load()
	const newcomers = 8
	apart := time.NewTicker(heartbeatInterval * 3 / 2) // enough for each to be a rebalance of its own
	defer apart.Stop()
	var ready []chan struct{}
	for i := range newcomers {
		<-apart.C
		ready = append(ready, arrive(fmt.Sprint("newcomer-", i)))
	}
	for _, r := range ready {
		<-r
	}
	// They come within 2.4 s, so to three such moments, and a slow machine may
	// spread who comes to one of them.
	if n := generations.last.Load() - before; n < 1 || n > newcomers-3 {
		t.Errorf("%d newcomers were %d rebalances", newcomers, n)
	}
	leave()
	members.Wait()
}

// generations is a log of which it knows the newest generation of a group.
type generations struct {
	slog.Handler
	last atomic.Int64
}

func (g *generations) Enabled(context.Context, slog.Level) bool { return true }
func (g *generations) WithAttrs([]slog.Attr) slog.Handler       { return g }
func (g *generations) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "generation" {
			g.last.Store(max(g.last.Load(), a.Value.Int64()))
		}
		return true
	})
	return nil
}

func TestMemberThatVanishesLosesNothing(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		heir string // the name of the member that takes over
	}{
		{"another replica waits for its session to end", "inventory-1"},
		{"the replica that comes back takes its place at once", "inventory-0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ctx := deadline(t)
			brokers := memoryBroker(t, 8, "orders")
			pub := NewPublisher(brokers)
			defer pub.Close()

			// Gone without a goodbye, and with a batch it never finished.
			lost := &consumer{
				cfg: ConsumerConfig{
					Brokers: brokers, Group: "group", Topics: []string{"orders"}, Member: "inventory-0",
					MaxBatch: 5, CommitInterval: time.Hour, DrainTimeout: time.Second,
				},
				log:     discard(),
				cluster: newCluster(brokers),
				leaving: make(chan struct{}),
			}
			stuck, free := make(chan struct{}), make(chan struct{})
			calls := 0
			lost.handle = func(context.Context, []Message) error {
				if calls++; calls == 3 {
					close(stuck)
					<-free
				}
				return nil
			}
			own, stop := context.WithCancel(ctx)
			ended := make(chan error, 1)
			go func() { ended <- lost.run(own) }()
			if err := pub.Publish(ctx, numbered(0, 200)...); err != nil {
				t.Fatal(err)
			}
			<-stuck
			lost.cluster.dialer.sever()

			b := newBook()
			heir, leave := context.WithCancel(ctx)
			left := make(chan error, 1)
			go func() {
				left <- Consume(heir, ConsumerConfig{
					Brokers: brokers, Group: "group", Topics: []string{"orders"}, Member: tt.heir,
				}, b.handle)
			}()
			b.await(ctx, t, 200)
			leave()
			if err := <-left; err != nil {
				t.Error(err)
			}
			stop()
			close(free)
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

// A join whose answer was lost makes a member that nobody is, and the request
// may arrive long after its sender has given it up: the broker takes what still
// stands in a connection that is gone. Unless somebody puts it out, it keeps
// its partitions, on kfake for ever.
func TestAJoinThatNobodyWaitsForKeepsNoPartitions(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	brokers := memoryBroker(t, 8, "orders")
	pub := NewPublisher(brokers)
	defer pub.Close()
	b := newBook()
	for _, name := range []string{"inventory-0", "inventory-1"} {
		ready := make(chan struct{})
		go func() {
			_ = Consume(ctx, ConsumerConfig{
				Brokers: brokers, Group: "group", Topics: []string{"orders"}, Member: name, OnReady: func() { close(ready) },
			}, b.handle)
		}()
		<-ready
	}
	if err := pub.Publish(ctx, numbered(0, 200)...); err != nil {
		t.Fatal(err)
	}
	b.await(ctx, t, 200)

	conn, err := net.Dial("tcp", brokers[0])
	if err != nil {
		t.Fatal(err)
	}
	ghost := protocol.NewConn(conn, "inventory-0")
	ghost.SetVersions(map[protocol.ApiKey]int16{protocol.JoinGroup: 1})
	answer := make(chan error, 1)
	go func() {
		_, err := ghost.RoundTrip(&joingroup.Request{
			GroupID: "group", SessionTimeoutMS: 300_000, RebalanceTimeoutMS: 6000, ProtocolType: "consumer",
			Protocols: []joingroup.RequestProtocol{{Name: "range", Metadata: subscription("orders")}},
		})
		answer <- err
	}()
	own := newCluster(brokers)
	defer own.close()
	describe := func() describegroups.ResponseGroup {
		t.Helper()
		res, err := own.request(ctx, brokers[0], &describegroups.Request{Groups: []string{"group"}})
		if err != nil {
			t.Fatal(err)
		}
		return res.(*describegroups.Response).Groups[0]
	}
	for len(describe().Members) < 3 {
		sleep(ctx, time.Millisecond)
	}
	conn.Close() // before the answer: the others have not joined again
	if <-answer == nil {
		t.Fatal("the join was answered")
	}
	for describe().GroupState != "Stable" { // until then, who had a partition reads it
		sleep(ctx, time.Millisecond)
	}
	if err := pub.Publish(ctx, numbered(200, 400)...); err != nil {
		t.Fatal(err)
	}
	b.await(ctx, t, 400)
}

// subscription is what a member says in a join that it wants to read: version
// 1, the topics, no user data.
func subscription(topic string) []byte {
	out := []byte{0, 1, 0, 0, 0, 1, 0, byte(len(topic))}
	return append(append(out, topic...), 0, 0, 0, 0)
}

func TestBatchThatFailsComesAgainAndIsNotCommitted(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	brokers := memoryBroker(t, 1, "orders")
	pub := NewPublisher(brokers)
	defer pub.Close()
	if err := pub.Publish(ctx, numbered(0, 3)...); err != nil {
		t.Fatal(err)
	}

	var first []Message
	failed := make(chan struct{})
	m := join(ctx, t, brokers, func(_ context.Context, batch []Message) error {
		if first == nil {
			first = batch
			return errors.New("out of order")
		}
		if batch[0].Offset != first[0].Offset || len(batch) != len(first) {
			t.Errorf("after a failure at offset %d came offset %d", first[0].Offset, batch[0].Offset)
		}
		select {
		case <-failed:
		default:
			close(failed)
		}
		return errors.New("still out of order")
	})
	<-failed
	m.leave(t)
	lag, err := readLag(ctx, brokers, "group", "orders")
	if err != nil || lag.Total() != 3 {
		t.Fatalf("lag: %d, %v; want all 3", lag.Total(), err)
	}

	b := newBook()
	join(ctx, t, brokers, b.handle)
	b.await(ctx, t, 3)
}

func TestBatchUnderWayIsFinishedAndCommittedWhenStopped(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	brokers := memoryBroker(t, 4, "orders")
	pub := NewPublisher(brokers)
	defer pub.Close()
	if err := pub.Publish(ctx, numbered(0, 1)...); err != nil {
		t.Fatal(err)
	}
	begun, finish := make(chan struct{}), make(chan struct{})
	m := join(ctx, t, brokers, func(ctx context.Context, batch []Message) error {
		close(begun)
		<-finish
		return ctx.Err()
	})
	<-begun
	m.stop()
	close(finish)
	if err := <-m.ended; err != nil {
		t.Fatal(err)
	}
	lag, err := readLag(ctx, brokers, "group", "orders")
	if err != nil || lag.Total() != 0 {
		t.Fatalf("lag: %d, %v; want 0", lag.Total(), err)
	}
}

func TestKilledBrokerLosesNothingThatWasAcknowledged(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	broker := newBrokerProcess(t)
	broker.start()
	brokers := []string{broker.addr}
	if err := EnsureTopics(ctx, brokers, 40, "orders"); err != nil {
		t.Fatal(err)
	}
	b := newBook()
	for range 3 {
		join(ctx, t, brokers, b.handle)
	}

	const rounds, each = 4, 500
	half, done := make(chan struct{}), make(chan error, 1)
	go func() {
		pub := NewPublisher(brokers)
		defer pub.Close()
		for i := 0; i < rounds*each; i += 10 {
			for pub.Publish(ctx, numbered(i, i+10)...) != nil {
				if !sleep(ctx, retryPause) {
					done <- ctx.Err()
					return
				}
			}
			if (i+10)%each == 0 && i+10 < rounds*each {
				half <- struct{}{}
			}
		}
		done <- nil
	}()
	for round := range rounds - 1 {
		<-half
		if round%2 == 0 {
			broker.kill()
		} else {
			broker.stop()
		}
		broker.start()
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	b.await(ctx, t, rounds*each)
}

func TestConsumeEndsWhileTheBrokerIsDown(t *testing.T) {
	t.Parallel()
	down := newBrokerProcess(t) // never started
	ctx, cancel := context.WithCancel(deadline(t))
	ended := make(chan error, 1)
	go func() {
		ended <- Consume(ctx, ConsumerConfig{Brokers: []string{down.addr}, Group: "group", Topics: []string{"orders"}}, newBook().handle)
	}()
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

func TestConsumeSaysWhatItLacks(t *testing.T) {
	err := Consume(context.Background(), ConsumerConfig{Group: "group"}, newBook().handle)
	if err == nil {
		t.Fatal("no brokers and no topics were accepted")
	}
}

// readLag is LagReader.Read over connections of its own.
func readLag(ctx context.Context, brokers []string, group, topic string) (Lag, error) {
	r := NewLagReader(brokers)
	defer r.Close()
	return r.Read(ctx, group, topic)
}

func TestAMembershipAsksWhicheverBrokerIsThere(t *testing.T) {
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	there, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	c := newConsumer(ConsumerConfig{Group: "g", Brokers: []string{gone.Addr().String(), there.Addr().String()}, Log: slog.New(slog.DiscardHandler)}, nil)
	defer c.cluster.close()
	conn, err := c.dial(t.Context(), "tcp", anyBroker)
	if err != nil {
		t.Fatal(err)
	}
	if got := conn.RemoteAddr().String(); got != there.Addr().String() {
		t.Errorf("asked %s", got)
	}
}

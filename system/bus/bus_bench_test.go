package bus

import (
	"context"
	"slices"
	"syscall"
	"testing"
	"time"
)

// benchBroker is a durable broker in a process of its own, so that what is
// measured here is the client.
func benchBroker(b *testing.B) []string {
	b.Helper()
	broker := newBrokerProcess(b)
	broker.start()
	brokers := []string{broker.addr}
	if err := EnsureTopics(deadline(b), brokers, 40, "orders"); err != nil {
		b.Fatal(err)
	}
	return brokers
}

// cpu is what this process has used so far.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func benchmarkPublish(b *testing.B, batch int) {
	pub := NewPublisher(benchBroker(b))
	defer pub.Close()
	msgs := numbered(0, batch)
	for i := range msgs {
		msgs[i].Value = make([]byte, 300) // about one order.created
	}
	start := cpu(b)
	for b.Loop() {
		if err := pub.Publish(context.Background(), msgs...); err != nil {
			b.Fatal(err)
		}
	}
	n := float64(b.N * batch)
	b.ReportMetric(n/b.Elapsed().Seconds(), "msgs/s")
	b.ReportMetric(float64((cpu(b)-start).Microseconds())/n, "cpu-µs/msg")
}

func BenchmarkPublish1(b *testing.B)   { benchmarkPublish(b, 1) }
func BenchmarkPublish32(b *testing.B)  { benchmarkPublish(b, 32) }
func BenchmarkPublish256(b *testing.B) { benchmarkPublish(b, 256) }

// BenchmarkDelivery measures from before the publish to the handler of a
// consumer that has been idle.
func BenchmarkDelivery(b *testing.B) {
	brokers := benchBroker(b)
	pub := NewPublisher(brokers)
	defer pub.Close()
	arrived := make(chan time.Time, 1)
	m := join(context.Background(), b, brokers, func(context.Context, []Message) error {
		arrived <- time.Now()
		return nil
	})
	defer m.leave(b)
	var took []time.Duration
	n := 0
	for b.Loop() {
		time.Sleep(2 * fetchPace)
		sent := time.Now()
		if err := pub.Publish(context.Background(), numbered(n, n+1)...); err != nil {
			b.Fatal(err)
		}
		took = append(took, (<-arrived).Sub(sent))
		n++
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

// BenchmarkConsume measures how fast a log is read.
func BenchmarkConsume(b *testing.B) {
	brokers := benchBroker(b)
	pub := NewPublisher(brokers)
	defer pub.Close()
	const n = 50_000
	for i := 0; i < n; i += 1000 {
		msgs := numbered(i, i+1000)
		for j := range msgs {
			msgs[j].Value = make([]byte, 300)
		}
		if err := pub.Publish(context.Background(), msgs...); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		read := 0
		err := ReadTopic(context.Background(), brokers, "orders", func(Message) error { read++; return nil })
		if err != nil || read != n {
			b.Fatalf("read %d: %v", read, err)
		}
	}
	b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "msgs/s")
}

// BenchmarkIdleMember measures what a member of 40 partitions costs that has
// nothing to do.
func BenchmarkIdleMember(b *testing.B) {
	m := join(context.Background(), b, benchBroker(b), newBook().handle)
	defer m.leave(b)
	start := cpu(b)
	for b.Loop() {
		time.Sleep(5 * time.Second)
	}
	b.ReportMetric(100*float64(cpu(b)-start)/float64(b.Elapsed()), "%core")
}

func BenchmarkReadLag(b *testing.B) {
	brokers := benchBroker(b)
	r := NewLagReader(brokers)
	defer r.Close()
	start := cpu(b)
	for b.Loop() {
		if _, err := r.Read(context.Background(), "group", "orders"); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64((cpu(b)-start).Microseconds())/float64(b.N), "cpu-µs/op")
}

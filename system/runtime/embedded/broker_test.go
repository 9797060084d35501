package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
)

const topic, group = "orders-topic", "inventory-group"

// client has connections of its own: those that kafka-go keeps for all do not
// notice that the broker at their other end was killed.
func client(t *testing.T, c *component) *kafka.Client {
	tr := &kafka.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return &kafka.Client{Addr: kafka.TCP(c.listen), Timeout: 10 * time.Second, Transport: tr}
}

func createTopic(t *testing.T, c *component, partitions int) {
	t.Helper()
	res, err := client(t, c).CreateTopics(t.Context(), &kafka.CreateTopicsRequest{
		Topics: []kafka.TopicConfig{{Topic: topic, NumPartitions: partitions, ReplicationFactor: 1}},
	})
	if err == nil {
		err = res.Errors[topic]
	}
	if err != nil {
		t.Fatal(err)
	}
}

func writer(t *testing.T, c *component) *kafka.Writer {
	return &kafka.Writer{
		Addr:         kafka.TCP(c.listen),
		Topic:        topic,
		Balancer:     &kafka.Hash{},
		BatchTimeout: time.Millisecond,
		RequiredAcks: kafka.RequireAll,
		MaxAttempts:  1,
		Transport:    client(t, c).Transport,
	}
}

func publish(t *testing.T, c *component, values ...string) {
	t.Helper()
	w := writer(t, c)
	defer w.Close()
	for _, v := range values {
		if err := w.WriteMessages(t.Context(), kafka.Message{Key: []byte(v), Value: []byte(v)}); err != nil {
			t.Fatal(err)
		}
	}
}

// held is how often each value stands in the topic.
func held(t *testing.T, c *component, partitions int) map[string]int {
	t.Helper()
	values := map[string]int{}
	for p := range partitions {
		conn, err := kafka.DialLeader(t.Context(), "tcp", c.listen, topic, p)
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(20 * time.Second))
		first, last, err := conn.ReadOffsets()
		if err != nil {
			t.Fatal(err)
		}
		for next := first; next < last; {
			m, err := conn.ReadMessage(1 << 20)
			if err != nil {
				t.Fatal(err)
			}
			values[string(m.Value)]++
			next = m.Offset + 1
		}
		conn.Close()
	}
	return values
}

// committed is what the group has committed, -1 if nothing, per partition.
func committed(t *testing.T, c *component, partitions int) []int64 {
	t.Helper()
	ask := make([]int, partitions)
	for p := range ask {
		ask[p] = p
	}
	res, err := client(t, c).OffsetFetch(t.Context(), &kafka.OffsetFetchRequest{GroupID: group, Topics: map[string][]int{topic: ask}})
	if err == nil {
		err = res.Error
	}
	if err != nil {
		t.Fatal(err)
	}
	offsets := make([]int64, partitions)
	for _, p := range res.Topics[topic] {
		offsets[p.Partition] = p.CommittedOffset
	}
	return offsets
}

// consume reads n messages as a member of the group, commits each, and stays
// a member: nothing that a member does at its end is needed.
func consume(t *testing.T, c *component, n int) (values []string) {
	t.Helper()
	r := kafka.NewReader(kafka.ReaderConfig{
		Brokers:           []string{c.listen},
		GroupID:           group,
		Topic:             topic,
		StartOffset:       kafka.FirstOffset,
		MaxWait:           500 * time.Millisecond,
		HeartbeatInterval: 500 * time.Millisecond,
		SessionTimeout:    6 * time.Second,
		RebalanceTimeout:  3 * time.Second,
		JoinGroupBackoff:  100 * time.Millisecond,
	})
	t.Cleanup(func() { r.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for range n {
		m, err := r.FetchMessage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.CommitMessages(ctx, m); err != nil {
			t.Fatal(err)
		}
		values = append(values, string(m.Value))
	}
	return values
}

func TestKilledBrokerComesBackWithWhatItAcknowledged(t *testing.T) {
	const partitions = 8
	c := newComponent(t, "broker")
	c.start(t)
	createTopic(t, c, partitions)

	var acked []string
	for round := range 3 {
		var (
			all      sync.WaitGroup
			mu       sync.Mutex
			underWay = make(chan struct{})
			once     sync.Once
		)
		w := writer(t, c)
		for p := range 4 { // publish until the broker is gone
			all.Go(func() {
				for i := 0; ; i++ {
					var batch []kafka.Message
					for j := range 10 {
						v := fmt.Sprintf("%d-%d-%d-%d", round, p, i, j)
						batch = append(batch, kafka.Message{Key: []byte(v), Value: []byte(v)})
					}
					err := w.WriteMessages(context.Background(), batch...)
					var each kafka.WriteErrors
					errors.As(err, &each)
					mu.Lock()
					for j, m := range batch {
						if err == nil || j < len(each) && each[j] == nil {
							acked = append(acked, string(m.Value))
						}
					}
					mu.Unlock()
					if err != nil {
						return
					}
					if i == 20 {
						once.Do(func() { close(underWay) })
					}
				}
			})
		}
		<-underWay
		c.kill(t)
		all.Wait()
		w.Close()
		if _, err := net.Dial("tcp", c.listen); err == nil {
			t.Fatal("someone listens while the broker is dead")
		}
		c.start(t)
		values := held(t, c, partitions)
		for _, v := range acked {
			if values[v] == 0 {
				t.Fatalf("round %d: acknowledged message %s of %d is gone", round, v, len(acked))
			}
		}
		if round == 2 {
			t.Logf("%d acknowledged, %d held", len(acked), len(values))
		}
	}
}

func TestKilledBrokerComesBackWithTopicsAndGroupOffsets(t *testing.T) {
	const partitions = 3
	c := newComponent(t, "broker")
	c.start(t)
	createTopic(t, c, partitions)
	var all []string
	for i := range 30 {
		all = append(all, fmt.Sprint("order-", i))
	}
	publish(t, c, all...)
	seen := map[string]int{}
	for _, v := range consume(t, c, 12) {
		seen[v]++
	}
	before := committed(t, c, partitions)
	c.kill(t)
	c.start(t)
	after := committed(t, c, partitions)
	for p := range partitions {
		if after[p] != before[p] {
			t.Errorf("partition %d: committed %d, was %d", p, after[p], before[p])
		}
	}
	// A new member of the group goes on where the old one was.
	for _, v := range consume(t, c, 18) {
		seen[v]++
	}
	for _, v := range all {
		if seen[v] != 1 {
			t.Errorf("%s was delivered %d times", v, seen[v])
		}
	}
	meta, err := client(t, c).Metadata(t.Context(), &kafka.MetadataRequest{Topics: []string{topic}})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(meta.Topics[0].Partitions); n != partitions {
		t.Errorf("%d partitions, want %d", n, partitions)
	}
	if b := meta.Brokers[0]; fmt.Sprintf("%s:%d", b.Host, b.Port) != c.listen {
		t.Errorf("clients are told %s:%d, want %s", b.Host, b.Port, c.listen)
	}
}

// commit sets the group's offset of partition 0 from outside of the group.
func commit(t *testing.T, c *component, offset int64) {
	t.Helper()
	res, err := client(t, c).OffsetCommit(t.Context(), &kafka.OffsetCommitRequest{
		GroupID:      group,
		GenerationID: -1,
		Topics:       map[string][]kafka.OffsetCommit{topic: {{Partition: 0, Offset: offset}}},
	})
	if err == nil {
		err = res.Topics[topic][0].Error
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestOffsetsOutliveATornLogTwice(t *testing.T) {
	c := newComponent(t, "broker")
	c.start(t)
	createTopic(t, c, 1)
	publish(t, c, "a", "b", "c")
	commit(t, c, 1)
	c.kill(t)
	// What a kill in the middle of a write leaves behind.
	f, err := os.OpenFile(filepath.Join(c.dir, "groups.log"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(framed(`{"type":"commit"}`)[:13]); err != nil {
		t.Fatal(err)
	}
	f.Close()
	c.start(t)
	if got := committed(t, c, 1)[0]; got != 1 {
		t.Errorf("behind the torn log: committed %d, want 1", got)
	}
	commit(t, c, 2)
	if log := c.kill(t); !strings.Contains(log, "torn entry") {
		t.Errorf("the loss was not logged:\n%s", log)
	}
	c.start(t)
	if got := committed(t, c, 1)[0]; got != 2 {
		t.Errorf("committed after the torn log: %d, want 2", got)
	}
}

func TestMessageCutByAKillIsDroppedAndTheRestStays(t *testing.T) {
	c := newComponent(t, "broker")
	c.start(t)
	createTopic(t, c, 1)
	publish(t, c, "a", "b")
	c.kill(t)
	f, err := os.OpenFile(filepath.Join(c.dir, "partitions", topic+"-0", "0.dat"), os.O_RDWR|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 40)
	if _, err := f.ReadAt(head, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(head); err != nil { // a batch that says it is longer than it is
		t.Fatal(err)
	}
	f.Close()
	for range 2 {
		c.start(t)
		publish(t, c, "c")
		c.kill(t)
	}
	c.start(t)
	values := held(t, c, 1)
	if len(values) != 3 || values["a"] != 1 || values["b"] != 1 || values["c"] != 2 {
		t.Errorf("topic holds %v", values)
	}
}

func TestBrokerThatIsStoppedKeepsEverythingToo(t *testing.T) {
	c := newComponent(t, "broker")
	c.start(t)
	createTopic(t, c, 1)
	publish(t, c, "a")
	commit(t, c, 1)
	c.stop(t)
	c.start(t)
	if values := held(t, c, 1); values["a"] != 1 {
		t.Errorf("topic holds %v", values)
	}
	if got := committed(t, c, 1)[0]; got != 1 {
		t.Errorf("committed %d, want 1", got)
	}
}

func TestTopicsAreNotMadeByAccident(t *testing.T) {
	c := newComponent(t, "broker")
	c.start(t)
	w := writer(t, c)
	defer w.Close()
	w.AllowAutoTopicCreation = true
	err := w.WriteMessages(t.Context(), kafka.Message{Value: []byte("x")})
	if !errors.Is(err, kafka.UnknownTopicOrPartition) {
		t.Errorf("publish to no topic: %v", err)
	}
}

func TestFetchThatWaitsIsAnsweredWhenAMessageComes(t *testing.T) {
	c := newComponent(t, "broker")
	c.start(t)
	createTopic(t, c, 1)
	conn, err := kafka.DialLeader(t.Context(), "tcp", c.listen, topic, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	got := make(chan error, 1)
	conn.SetDeadline(time.Now().Add(time.Minute))
	go func() {
		batch := conn.ReadBatchWith(kafka.ReadBatchConfig{MinBytes: 1, MaxBytes: 1 << 20, MaxWait: 50 * time.Second})
		m, err := batch.ReadMessage()
		if err == nil && string(m.Value) != "a" {
			err = fmt.Errorf("read %q", m.Value)
		}
		got <- err
		io.Copy(io.Discard, batch)
	}()
	publish(t, c, "a")
	if err := <-got; err != nil {
		t.Error(err)
	}
}

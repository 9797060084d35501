package bus

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"sync/atomic"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/produce"
	"golang.org/x/sync/errgroup"
)

// Publisher writes messages; it is safe for concurrent use.
//
// It sends at once, all partitions of a broker in one request, instead of
// kafka-go's Writer, which collects per partition and waits: throughput comes
// from many messages per call of Publish.
type Publisher struct {
	// Watch, if set, is told of each publish, before, with the traceparents
	// of its messages; what it returns is told what became of it.
	Watch func(ctx context.Context, topic string, origins []string) (end func(error))

	cluster *cluster
	turn    atomic.Uint32 // of messages without a key
}

// NewPublisher makes a publisher; it connects when it first publishes.
func NewPublisher(brokers []string) *Publisher {
	return &Publisher{cluster: newCluster(brokers)}
}

// Publish returns when all of msgs are acknowledged by all replicas. Messages
// with the same key go to the same partition in the order given; without a
// key they go round.
//
// It tries once and takes no longer than 5 s. After an error some of msgs may
// be in the log, and it is unknown which: publish all of them again.
func (p *Publisher) Publish(ctx context.Context, msgs ...Message) error {
	if len(msgs) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	end := p.watched(ctx, msgs)
	err := p.publish(ctx, msgs)
	end(err)
	if err != nil {
		p.cluster.forget()
		return fmt.Errorf("publish %d messages to %s: %w", len(msgs), msgs[0].Topic, err)
	}
	return nil
}

// watched tells Watch of a publish.
func (p *Publisher) watched(ctx context.Context, msgs []Message) (end func(error)) {
	if p.Watch == nil {
		return func(error) {}
	}
	origins := make([]string, len(msgs))
	for i := range msgs {
		origins[i] = msgs[i].Header(Traceparent)
	}
	return p.Watch(ctx, msgs[0].Topic, origins)
}

func (p *Publisher) publish(ctx context.Context, msgs []Message) error {
	requests, err := p.requests(ctx, msgs)
	if err != nil {
		return err
	}
	if len(requests) == 1 {
		for addr, req := range requests {
			return p.send(ctx, addr, req)
		}
	}
	var g errgroup.Group
	for addr, req := range requests {
		g.Go(func() error { return p.send(ctx, addr, req) })
	}
	return g.Wait()
}

// requests sorts msgs into one request per leader.
func (p *Publisher) requests(ctx context.Context, msgs []Message) (map[string]*produce.Request, error) {
	type log struct {
		topic     string
		partition int
	}
	records := map[log][]protocol.Record{}
	for _, m := range msgs {
		t, err := p.cluster.topic(ctx, m.Topic)
		if err != nil {
			return nil, err
		}
		to := log{m.Topic, p.partition(m.Key, len(t.leaders))}
		records[to] = append(records[to], protocol.Record{
			Time:    m.Time,
			Key:     key(m.Key),
			Value:   protocol.NewBytes(m.Value),
			Headers: headers(m.Headers),
		})
	}
	requests := map[string]*produce.Request{}
	for to, batch := range records {
		t, err := p.cluster.topic(ctx, to.topic)
		if err != nil {
			return nil, err
		}
		leader := t.leaders[to.partition]
		req := requests[leader]
		if req == nil {
			req = &produce.Request{
				Acks:    int16(kafka.RequireAll),
				Timeout: int32(requestTimeout.Milliseconds()),
			}
			requests[leader] = req
		}
		part := produce.RequestPartition{
			Partition: int32(to.partition),
			RecordSet: protocol.RecordSet{Records: protocol.NewRecordReader(batch...)},
		}
		i := 0
		for i < len(req.Topics) && req.Topics[i].Topic != to.topic {
			i++
		}
		if i == len(req.Topics) {
			req.Topics = append(req.Topics, produce.RequestTopic{Topic: to.topic})
		}
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, part)
	}
	return requests, nil
}

// partition is FNV-1a of the key, as Sarama and kafka-go's Hash place it.
func (p *Publisher) partition(key string, partitions int) int {
	if key == "" {
		return int(p.turn.Add(1) % uint32(partitions))
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(key)) // never fails
	n := int(int32(h.Sum32()) % int32(partitions))
	return max(n, -n)
}

// key is null on the wire when there is none.
func key(s string) protocol.Bytes {
	if s == "" {
		return nil
	}
	return protocol.NewBytes([]byte(s))
}

// headers are those of a message as the wire has them.
func headers(list []Header) []protocol.Header {
	if len(list) == 0 {
		return nil
	}
	out := make([]protocol.Header, len(list))
	for i, h := range list {
		out[i] = protocol.Header{Key: h.Key, Value: []byte(h.Value)}
	}
	return out
}

// send writes one request and checks the answer for every partition.
func (p *Publisher) send(ctx context.Context, addr string, req *produce.Request) error {
	res, err := p.cluster.request(ctx, addr, req)
	if err != nil {
		return err
	}
	want := 0
	for _, t := range req.Topics {
		want += len(t.Partitions)
	}
	var errs []error
	for _, t := range res.(*produce.Response).Topics {
		for _, part := range t.Partitions {
			want--
			if part.ErrorCode != 0 {
				errs = append(errs, fmt.Errorf("%s/%d: %w", t.Topic, part.Partition, kafka.Error(part.ErrorCode)))
			}
		}
	}
	if want != 0 {
		errs = append(errs, fmt.Errorf("%s left %d partitions unanswered", addr, want))
	}
	return errors.Join(errs...)
}

// Close ends the connections; calls of Publish that still wait fail.
func (p *Publisher) Close() error {
	p.cluster.close()
	return nil
}

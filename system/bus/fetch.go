package bus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
	"unsafe"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	fetchapi "github.com/segmentio/kafka-go/protocol/fetch"
	"github.com/segmentio/kafka-go/protocol/listoffsets"
)

const (
	fetchMaxBytes     = 4 << 20   // of one answer
	partitionMaxBytes = 256 << 10 // of one partition in it
)

// position is where reading of one partition goes on.
type position struct {
	topic     string
	partition int
	offset    int64 // of the next message; kafka.FirstOffset: wherever the log starts
}

// byLeader sorts positions by the broker that must be asked for them.
func (c *cluster) byLeader(ctx context.Context, positions []*position) (map[string][]*position, error) {
	sorted := map[string][]*position{}
	for _, p := range positions {
		t, err := c.topic(ctx, p.topic)
		if err != nil {
			return nil, err
		}
		if p.partition >= len(t.leaders) {
			return nil, fmt.Errorf("topic %s: partition %d: %w", p.topic, p.partition, kafka.UnknownTopicOrPartition)
		}
		leader := t.leaders[p.partition]
		sorted[leader] = append(sorted[leader], p)
	}
	return sorted, nil
}

// listOffsets asks the leader at addr for the offset of each of positions at
// the time given: kafka.FirstOffset or kafka.LastOffset.
func (c *cluster) listOffsets(ctx context.Context, addr string, positions []*position, at int64) ([]int64, error) {
	req := &listoffsets.Request{ReplicaID: -1}
	index := map[position]int{}
	topics := map[string]int{}
	for i, p := range positions {
		t, ok := topics[p.topic]
		if !ok {
			t = len(req.Topics)
			topics[p.topic] = t
			req.Topics = append(req.Topics, listoffsets.RequestTopic{Topic: p.topic})
		}
		req.Topics[t].Partitions = append(req.Topics[t].Partitions, listoffsets.RequestPartition{
			Partition: int32(p.partition), CurrentLeaderEpoch: -1, Timestamp: at,
		})
		index[position{topic: p.topic, partition: p.partition}] = i
	}
	res, err := c.request(ctx, addr, req)
	if err != nil {
		return nil, err
	}
	offsets := make([]int64, len(positions))
	answered := 0
	for _, t := range res.(*listoffsets.Response).Topics {
		for _, p := range t.Partitions {
			i, ok := index[position{topic: t.Topic, partition: int(p.Partition)}]
			if !ok {
				continue
			}
			if p.ErrorCode != 0 {
				return nil, fmt.Errorf("offsets of %s/%d: %w", t.Topic, p.Partition, kafka.Error(p.ErrorCode))
			}
			offsets[i] = p.Offset
			answered++
		}
	}
	if answered != len(positions) {
		return nil, fmt.Errorf("offsets of %d partitions: %s answered for %d", len(positions), addr, answered)
	}
	return offsets, nil
}

// fetch asks the leader at addr for what follows positions, waits there for
// at most wait until there is something, and hands it to yield partition by
// partition in order. It moves each position past what yield took.
//
// Positions that are not in the log are moved to its first offset: a group
// must rather see a message again than skip one.
func (c *cluster) fetch(ctx context.Context, addr string, positions []*position, wait time.Duration, yield func(Message) error) error {
	ctx, cancel := context.WithTimeout(ctx, wait+requestTimeout)
	defer cancel()

	req := &fetchapi.Request{
		ReplicaID:    -1,
		MaxWaitTime:  int32(wait.Milliseconds()),
		MinBytes:     1,
		MaxBytes:     fetchMaxBytes,
		SessionID:    -1,
		SessionEpoch: -1,
	}
	index := make(map[position]*position, len(positions))
	topics := map[string]int{}
	for _, p := range positions {
		t, ok := topics[p.topic]
		if !ok {
			t = len(req.Topics)
			topics[p.topic] = t
			req.Topics = append(req.Topics, fetchapi.RequestTopic{Topic: p.topic})
		}
		req.Topics[t].Partitions = append(req.Topics[t].Partitions, fetchapi.RequestPartition{
			Partition:          int32(p.partition),
			CurrentLeaderEpoch: -1,
			FetchOffset:        p.offset,
			LogStartOffset:     -1,
			PartitionMaxBytes:  partitionMaxBytes,
		})
		index[position{topic: p.topic, partition: p.partition}] = p
	}
	res, err := c.request(ctx, addr, req)
	if err != nil {
		return err
	}
	answer := res.(*fetchapi.Response)
	if answer.ErrorCode != 0 {
		return fmt.Errorf("fetch from %s: %w", addr, kafka.Error(answer.ErrorCode))
	}
	var lost []*position
	for _, t := range answer.Topics {
		for _, part := range t.Partitions {
			p := index[position{topic: t.Topic, partition: int(part.Partition)}]
			switch {
			case p == nil:
				continue
			case part.ErrorCode == int16(kafka.OffsetOutOfRange):
				lost = append(lost, p)
				continue
			case part.ErrorCode != 0:
				return fmt.Errorf("fetch %s/%d: %w", p.topic, p.partition, kafka.Error(part.ErrorCode))
			}
			if err := readRecords(part.RecordSet.Records, p, yield); err != nil {
				return err
			}
		}
	}
	if len(lost) == 0 {
		return nil
	}
	starts, err := c.listOffsets(ctx, addr, lost, kafka.FirstOffset)
	if err != nil {
		return err
	}
	for i, p := range lost {
		c.log.Warn("the log does not hold the offset: reading it from its start",
			"topic", p.topic, "partition", p.partition, "offset", p.offset, "start", starts[i])
		p.offset = starts[i]
	}
	return nil
}

// readRecords hands records to yield and moves p along.
func readRecords(records protocol.RecordReader, p *position, yield func(Message) error) error {
	if records == nil {
		return nil
	}
	for {
		r, err := records.ReadRecord()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read %s/%d at %d: %w", p.topic, p.partition, p.offset, err)
		}
		key, keyErr := take(r.Key)
		value, valueErr := take(r.Value)
		if err := errors.Join(keyErr, valueErr); err != nil {
			return fmt.Errorf("read %s/%d at %d: %w", p.topic, p.partition, r.Offset, err)
		}
		if r.Offset < p.offset {
			continue // a broker answers with whole batches
		}
		m := Message{
			Topic:     p.topic,
			Partition: p.partition,
			Offset:    r.Offset,
			Key:       string(key),
			Value:     value,
			Time:      r.Time,
		}
		if len(r.Headers) > 0 {
			m.Headers = make([]Header, len(r.Headers))
		}
		for i, h := range r.Headers { // their bytes were copied out of the answer for them alone
			m.Headers[i] = Header{Key: h.Key, Value: unsafe.String(unsafe.SliceData(h.Value), len(h.Value))}
		}
		if err := yield(m); err != nil {
			return err
		}
		p.offset = r.Offset + 1
	}
}

// take copies b and gives its pages back.
func take(b protocol.Bytes) ([]byte, error) {
	if b == nil {
		return nil, nil
	}
	defer b.Close()
	return protocol.ReadAll(b)
}

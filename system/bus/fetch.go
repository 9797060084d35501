package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/segmentio/kafka-go"
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

	req := newFetching(wait.Milliseconds())
	for _, p := range positions {
		req.add(p)
	}
	res, err := c.request(ctx, addr, req)
	if err != nil {
		return err
	}
	answer := res.(*fetched)
	defer answer.release()
	if answer.ErrorCode != 0 {
		return fmt.Errorf("fetch from %s: %w", addr, kafka.Error(answer.ErrorCode))
	}
	var lost []*position
	for i := range answer.Topics {
		t := &answer.Topics[i]
		for j := range t.Partitions {
			part := &t.Partitions[j]
			if part.ErrorCode == 0 && len(part.RecordBatches) == 0 {
				continue // as of most
			}
			at := slices.IndexFunc(positions, func(p *position) bool { return p.partition == int(part.Partition) && p.topic == t.Topic })
			if at < 0 {
				continue
			}
			p := positions[at]
			switch {
			case part.ErrorCode == int16(kafka.OffsetOutOfRange):
				lost = append(lost, p)
				continue
			case part.ErrorCode != 0:
				return fmt.Errorf("fetch %s/%d: %w", p.topic, p.partition, kafka.Error(part.ErrorCode))
			}
			next, err := records(part.RecordBatches, p.topic, p.partition, p.offset, yield)
			p.offset = next
			if errors.Is(err, errUnread) {
				return fmt.Errorf("read %s/%d at %d: %w", p.topic, p.partition, p.offset, err)
			}
			if err != nil {
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

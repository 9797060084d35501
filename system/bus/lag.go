package bus

import (
	"context"
	"fmt"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/offsetfetch"
)

// Lag says how far a group is behind in one topic.
type Lag struct {
	Group      string         `json:"group"`
	Topic      string         `json:"topic"`
	Partitions []PartitionLag `json:"partitions"` // by number
}

// PartitionLag is the lag of one partition in messages.
type PartitionLag struct {
	Partition int   `json:"partition"`
	Latest    int64 `json:"latest"`    // offset of the next message to be written
	Committed int64 `json:"committed"` // offset of the next message to be read; -1: nothing was committed yet
	Lag       int64 `json:"lag"`       // without a commit, Latest
}

// Total is the lag over all partitions.
func (l Lag) Total() int64 {
	var total int64
	for _, p := range l.Partitions {
		total += p.Lag
	}
	return total
}

// LagReader reads lag over kept connections; it is safe for concurrent use.
// One reading is two requests, however many partitions there are.
type LagReader struct{ cluster *cluster }

// NewLagReader makes a reader; it connects when it first reads.
func NewLagReader(brokers []string) *LagReader {
	return &LagReader{cluster: newCluster(brokers)}
}

// Read asks the brokers how far group is behind in topic. It tries once and
// takes no longer than 5 s.
func (r *LagReader) Read(ctx context.Context, group, topic string) (Lag, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	lag, err := r.read(ctx, group, topic)
	if err != nil {
		r.cluster.forget()
		return Lag{}, fmt.Errorf("read lag of %s in %s: %w", group, topic, err)
	}
	return lag, nil
}

func (r *LagReader) read(ctx context.Context, group, name string) (Lag, error) {
	t, err := r.cluster.topic(ctx, name)
	if err != nil {
		return Lag{}, err
	}
	lag := Lag{Group: group, Topic: name, Partitions: make([]PartitionLag, len(t.leaders))}
	for i := range lag.Partitions {
		lag.Partitions[i] = PartitionLag{Partition: i, Committed: -1}
	}
	// Committed before latest: the other way round, what is written and
	// handled in between would be a negative lag.
	if err := r.committed(ctx, &lag); err != nil {
		return Lag{}, err
	}
	leaders, err := r.cluster.byLeader(ctx, everyPartition(name, t))
	if err != nil {
		return Lag{}, err
	}
	for addr, positions := range leaders {
		latest, err := r.cluster.listOffsets(ctx, addr, positions, kafka.LastOffset)
		if err != nil {
			return Lag{}, err
		}
		for i, p := range positions {
			part := &lag.Partitions[p.partition]
			part.Latest = latest[i]
			part.Lag = max(0, part.Latest-max(0, part.Committed))
		}
	}
	return lag, nil
}

// committed fills in what the group has committed.
func (r *LagReader) committed(ctx context.Context, lag *Lag) error {
	addr, err := r.cluster.coordinator(ctx, lag.Group)
	if err != nil {
		return err
	}
	partitions := make([]int32, len(lag.Partitions))
	for i := range partitions {
		partitions[i] = int32(i)
	}
	res, err := r.cluster.request(ctx, addr, &offsetfetch.Request{
		GroupID: lag.Group,
		Topics:  []offsetfetch.RequestTopic{{Name: lag.Topic, PartitionIndexes: partitions}},
	})
	if err != nil {
		return err
	}
	answer := res.(*offsetfetch.Response)
	switch code := kafka.Error(answer.ErrorCode); code {
	case 0:
	case kafka.GroupIdNotFound: // no member has ever joined
		return nil
	default:
		return code
	}
	for _, t := range answer.Topics {
		for _, p := range t.Partitions {
			if p.ErrorCode != 0 {
				return fmt.Errorf("offset of %s/%d: %w", t.Name, p.PartitionIndex, kafka.Error(p.ErrorCode))
			}
			if i := int(p.PartitionIndex); t.Name == lag.Topic && i >= 0 && i < len(lag.Partitions) {
				lag.Partitions[i].Committed = p.CommittedOffset
			}
		}
	}
	return nil
}

// Close ends the connections.
func (r *LagReader) Close() error {
	r.cluster.close()
	return nil
}

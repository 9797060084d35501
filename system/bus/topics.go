package bus

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/createtopics"
	"github.com/segmentio/kafka-go/protocol/metadata"
)

// errPartitions is an error that waiting does not heal.
var errPartitions = errors.New("another number of partitions would send keys elsewhere and break their order")

// EnsureTopics creates what is missing of topics, each with so many
// partitions, and returns when all of them can be used. It tries again while
// brokers are away, until ctx ends. A topic that exists with another number
// of partitions is an error at once.
func EnsureTopics(ctx context.Context, brokers []string, partitions int, topics ...string) error {
	c := newCluster(brokers)
	defer c.close()
	for {
		err := c.ensure(ctx, partitions, topics)
		if err == nil {
			return nil
		}
		if errors.Is(err, errPartitions) {
			return fmt.Errorf("ensure topics: %w", err)
		}
		c.forget()
		if !sleep(ctx, retryPause) {
			return fmt.Errorf("ensure topics: %w: %w", ctx.Err(), err)
		}
	}
}

func (c *cluster) ensure(ctx context.Context, partitions int, topics []string) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	for _, name := range topics {
		t, err := c.topic(ctx, name)
		if errors.Is(err, kafka.UnknownTopicOrPartition) {
			if err := c.create(ctx, partitions, name); err != nil {
				return err
			}
			t, err = c.topic(ctx, name)
		}
		if err != nil {
			return err
		}
		if len(t.leaders) != partitions {
			return fmt.Errorf("topic %s has %d partitions, not %d: %w", name, len(t.leaders), partitions, errPartitions)
		}
		if err := c.led(ctx, name, t); err != nil {
			return err
		}
	}
	return nil
}

// led asks each leader for what it leads. A broker of Kafka is told a moment
// after everybody else that a new partition is its own, and refuses it so long.
func (c *cluster) led(ctx context.Context, name string, t topic) error {
	leaders, err := c.byLeader(ctx, everyPartition(name, t))
	if err != nil {
		return err
	}
	for addr, positions := range leaders {
		if _, err := c.listOffsets(ctx, addr, positions, kafka.LastOffset); err != nil {
			return err
		}
	}
	return nil
}

// everyPartition is all partitions of a topic, each at offset 0.
func everyPartition(name string, t topic) []*position {
	all := make([]*position, len(t.leaders))
	for i := range all {
		all[i] = &position{topic: name, partition: i}
	}
	return all
}

// create asks the controller for a topic; one that exists already is fine.
func (c *cluster) create(ctx context.Context, partitions int, name string) error {
	res, err := c.anyone(ctx, &metadata.Request{TopicNames: []string{}})
	if err != nil {
		return err
	}
	known := res.(*metadata.Response)
	for _, b := range known.Brokers {
		if b.NodeID != known.ControllerID {
			continue
		}
		res, err := c.request(ctx, net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port))), &createtopics.Request{
			Topics: []createtopics.RequestTopic{{
				Name:              name,
				NumPartitions:     int32(partitions),
				ReplicationFactor: -1, // the broker's default
			}},
			TimeoutMs: int32(requestTimeout.Milliseconds()),
		})
		if err != nil {
			return err
		}
		for _, t := range res.(*createtopics.Response).Topics {
			if code := kafka.Error(t.ErrorCode); code != 0 && code != kafka.TopicAlreadyExists {
				return fmt.Errorf("create topic %s: %w", t.Name, code)
			}
		}
		return nil
	}
	return fmt.Errorf("create topic %s: %w", name, kafka.BrokerNotAvailable)
}

// ReadTopic hands fn every message from the first offset of each partition to
// the end of the partition at the time of the call, each partition in order.
// While brokers are away it waits and goes on where it was, until ctx ends.
// An error of fn ends it and is returned as it is.
func ReadTopic(ctx context.Context, brokers []string, topic string, fn func(Message) error) error {
	c := newCluster(brokers)
	defer c.close()

	var open []*position
	ends := map[int]int64{}
	read := func() error {
		if len(ends) == 0 {
			var err error
			if open, ends, err = c.extent(ctx, topic); err != nil {
				return err
			}
		}
		for len(open) > 0 {
			leaders, err := c.byLeader(ctx, open)
			if err != nil {
				return err
			}
			for addr, positions := range leaders {
				err := c.fetch(ctx, addr, positions, time.Second, func(m Message) error {
					if m.Offset >= ends[m.Partition] {
						return nil
					}
					if err := fn(m); err != nil {
						return &handlerError{err}
					}
					return nil
				})
				if err != nil {
					return err
				}
			}
			left := open[:0]
			for _, p := range open {
				if p.offset < ends[p.partition] {
					left = append(left, p)
				}
			}
			open = left
		}
		return nil
	}
	for {
		err := read()
		if err == nil {
			return nil
		}
		var own *handlerError
		if errors.As(err, &own) {
			return own.error
		}
		c.forget()
		if !sleep(ctx, retryPause) {
			return fmt.Errorf("read topic %s: %w: %w", topic, ctx.Err(), err)
		}
	}
}

// handlerError marks an error of a caller's function among those of brokers.
type handlerError struct{ error }

// extent returns the partitions of a topic that hold anything, each at its
// first offset, and the end of every partition.
func (c *cluster) extent(ctx context.Context, name string) ([]*position, map[int]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	t, err := c.topic(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	leaders, err := c.byLeader(ctx, everyPartition(name, t))
	if err != nil {
		return nil, nil, err
	}
	ends := map[int]int64{}
	var filled []*position
	for addr, positions := range leaders {
		// Ends first: what is truncated in between is then not waited for.
		last, err := c.listOffsets(ctx, addr, positions, kafka.LastOffset)
		if err != nil {
			return nil, nil, err
		}
		first, err := c.listOffsets(ctx, addr, positions, kafka.FirstOffset)
		if err != nil {
			return nil, nil, err
		}
		for i, p := range positions {
			p.offset, ends[p.partition] = first[i], last[i]
			if first[i] < last[i] {
				filled = append(filled, p)
			}
		}
	}
	return filled, ends, nil
}

package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/findcoordinator"
	"github.com/segmentio/kafka-go/protocol/metadata"
)

// requestTimeout bounds one exchange with a broker that is expected to answer
// at once: one that is paused must not hold its callers for ever.
const requestTimeout = 5 * time.Second

// retryPause is the wait between attempts while brokers are away.
const retryPause = 100 * time.Millisecond

// cluster sends requests to the brokers that must answer them. kafka-go's own
// client would do one request per partition where the protocol takes all
// partitions of a broker at once, which is the difference between one long
// poll and forty.
//
// After an error, forget: what is cached may be what is wrong.
type cluster struct {
	brokers []string
	dialer  *dialer
	log     *slog.Logger

	mu           sync.Mutex
	idle         map[string][]*link // by address
	topics       map[string]topic
	coordinators map[string]string // address by group
}

// topic says where the partitions of a topic are.
type topic struct {
	leaders []string // address, by partition
}

func newCluster(brokers []string) *cluster {
	return &cluster{
		brokers:      Advertised(brokers),
		dialer:       &dialer{detours: detours(brokers)},
		log:          slog.New(slog.DiscardHandler),
		idle:         map[string][]*link{},
		topics:       map[string]topic{},
		coordinators: map[string]string{},
	}
}

// request exchanges req with the broker at addr over a connection of its own
// for as long as that takes.
func (c *cluster) request(ctx context.Context, addr string, req protocol.Message) (protocol.Message, error) {
	c.mu.Lock()
	var l *link
	if n := len(c.idle[addr]); n > 0 {
		l, c.idle[addr] = c.idle[addr][n-1], c.idle[addr][:n-1]
	}
	c.mu.Unlock()
	if l == nil {
		fresh, err := connect(ctx, c.dialer, addr)
		if err != nil {
			return nil, err
		}
		l = fresh
	}
	res, err := l.exchange(ctx, req)
	if l.spent {
		l.close()
		return res, err
	}
	c.mu.Lock()
	c.idle[addr] = append(c.idle[addr], l)
	c.mu.Unlock()
	return res, err
}

// anyone exchanges req with the first broker that answers.
func (c *cluster) anyone(ctx context.Context, req protocol.Message) (protocol.Message, error) {
	errs := []error{}
	for _, addr := range c.brokers {
		res, err := c.request(ctx, addr, req)
		if err == nil {
			return res, nil
		}
		errs = append(errs, err)
	}
	if len(errs) == 0 {
		return nil, errors.New("no broker is configured")
	}
	return nil, errors.Join(errs...)
}

// topic returns where the partitions of name are, as known since the last
// forget.
func (c *cluster) topic(ctx context.Context, name string) (topic, error) {
	c.mu.Lock()
	known, ok := c.topics[name]
	c.mu.Unlock()
	if ok {
		return known, nil
	}
	res, err := c.anyone(ctx, &metadata.Request{TopicNames: []string{name}})
	if err != nil {
		return topic{}, err
	}
	found, err := topicOf(res.(*metadata.Response), name)
	if err != nil {
		return topic{}, fmt.Errorf("topic %s: %w", name, err)
	}
	c.mu.Lock()
	c.topics[name] = found
	c.mu.Unlock()
	return found, nil
}

// topicOf finds the leader of every partition of name.
func topicOf(res *metadata.Response, name string) (topic, error) {
	addrs := map[int32]string{}
	for _, b := range res.Brokers {
		addrs[b.NodeID] = net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))
	}
	for _, t := range res.Topics {
		if t.Name != name {
			continue
		}
		if t.ErrorCode != 0 {
			return topic{}, kafka.Error(t.ErrorCode)
		}
		leaders := make([]string, len(t.Partitions))
		for _, p := range t.Partitions {
			addr, ok := addrs[p.LeaderID]
			if p.PartitionIndex < 0 || int(p.PartitionIndex) >= len(leaders) || !ok {
				return topic{}, fmt.Errorf("partition %d: %w", p.PartitionIndex, kafka.LeaderNotAvailable)
			}
			leaders[p.PartitionIndex] = addr
		}
		if len(leaders) == 0 {
			return topic{}, kafka.UnknownTopicOrPartition
		}
		return topic{leaders: leaders}, nil
	}
	return topic{}, kafka.UnknownTopicOrPartition
}

// coordinator returns the address of the broker that keeps group.
func (c *cluster) coordinator(ctx context.Context, group string) (string, error) {
	c.mu.Lock()
	addr := c.coordinators[group]
	c.mu.Unlock()
	if addr != "" {
		return addr, nil
	}
	res, err := c.anyone(ctx, &findcoordinator.Request{Key: group})
	if err != nil {
		return "", err
	}
	found := res.(*findcoordinator.Response)
	if found.ErrorCode != 0 {
		return "", fmt.Errorf("find the coordinator of %s: %w", group, kafka.Error(found.ErrorCode))
	}
	addr = net.JoinHostPort(found.Host, strconv.Itoa(int(found.Port)))
	c.mu.Lock()
	c.coordinators[group] = addr
	c.mu.Unlock()
	return addr, nil
}

// forget drops what is cached, idle connections too.
func (c *cluster) forget() {
	c.mu.Lock()
	idle := c.idle
	c.idle = map[string][]*link{}
	clear(c.topics)
	clear(c.coordinators)
	c.mu.Unlock()
	for _, links := range idle {
		for _, l := range links {
			l.close()
		}
	}
}

// close ends every connection, also those in use.
func (c *cluster) close() { c.dialer.sever() }

// sleep waits for d; false means that ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

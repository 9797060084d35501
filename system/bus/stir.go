package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"
)

// What can be done to a group or asked of a cluster from outside, by whoever
// wants to see how they bear it.

// Stir makes a group rebalance twice: a stranger joins it, is given
// partitions, reads nothing of them, and leaves. It returns the generation
// that the stranger was part of.
func Stir(ctx context.Context, brokers []string, group string, topics []string) (generation int, err error) {
	d := &dialer{detours: detours(brokers)}
	defer d.sever()
	g, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID:                group,
		Brokers:           Advertised(brokers),
		Topics:            topics,
		Dialer:            &kafka.Dialer{ClientID: "ordbench-stranger", Timeout: sessionTimeout, DialFunc: d.dial},
		HeartbeatInterval: heartbeatInterval,
		SessionTimeout:    sessionTimeout,
		RebalanceTimeout:  rebalanceTimeout,
		JoinGroupBackoff:  joinBackoff,
		Timeout:           requestTimeout,
	})
	if err != nil {
		return 0, fmt.Errorf("stir %s: %w", group, err)
	}
	joined, err := g.Next(ctx)
	for err != nil && ctx.Err() == nil {
		if !sleep(ctx, retryPause) {
			break
		}
		joined, err = g.Next(ctx)
	}
	left := g.Close()
	if err := errors.Join(err, left); err != nil {
		return 0, fmt.Errorf("stir %s: %w", group, err)
	}
	return int(joined.ID), nil
}

// Leaders are the addresses of the brokers that lead a topic's partitions, as
// those call themselves, by partition.
func Leaders(ctx context.Context, brokers []string, name string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*requestTimeout)
	defer cancel()
	c := newCluster(brokers)
	defer c.close()
	for {
		t, err := c.topic(ctx, name)
		if err == nil {
			return t.leaders, nil
		}
		c.forget()
		timer := time.NewTimer(retryPause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, fmt.Errorf("leaders of %s: %w", name, err)
		}
	}
}

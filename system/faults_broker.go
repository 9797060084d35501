package system

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/ordbench/ordbench/system/bus"
	"github.com/ordbench/ordbench/system/events"
)

// Leader is the broker that leads most partitions of a topic, and how many.
func (s *Stack) Leader(ctx context.Context, topic string) (replica string, partitions int, err error) {
	leaders, err := bus.Leaders(ctx, s.fleet.Brokers(), topic)
	if err != nil {
		return "", 0, err
	}
	leads := map[string]int{}
	for _, addr := range leaders {
		leads[addr]++
	}
	for _, st := range s.of(Broker) {
		if leads[st.Addr] > partitions {
			replica, partitions = st.Name, leads[st.Addr]
		}
	}
	if replica == "" {
		return "", 0, fmt.Errorf("none of the brokers leads %s", topic)
	}
	return replica, partitions, nil
}

// Rebalance makes every consumer group rebalance: a stranger joins each and
// leaves again. It says how often they did.
func (s *Stack) Rebalance(ctx context.Context) (rebalances int, err error) {
	groups := events.Groups()
	errs := make([]error, len(groups))
	var all sync.WaitGroup
	for i, group := range groups {
		all.Go(func() { _, errs[i] = bus.Stir(ctx, s.fleet.Brokers(), group, events.Topics()) })
	}
	all.Wait()
	for _, err := range errs {
		if err == nil {
			rebalances += 2 // when it came, and when it left
		}
	}
	return rebalances, errors.Join(errs...)
}

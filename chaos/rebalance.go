package chaos

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// Rebalancer makes consumer groups rebalance from outside of the broker.
type Rebalancer interface {
	// Rebalance has a stranger join every group and leave it again, and says
	// how often they rebalanced for that.
	Rebalance(ctx context.Context) (rebalances int, err error)
}

var rebalanceStorm = Definition{
	Name:    "rebalance-storm",
	Family:  BrokerFamily,
	Summary: "members of groups are told to join anew, again and again",
	Targets: brokerOnly,
	Options: []Option{
		{Name: "every", Kind: Duration, Default: "1s", Summary: "how often"},
		forOption,
	},
	Example: "ordbench chaos rebalance-storm broker --every 1s --for 10s",
	check:   func(s Spec) *UsageError { return s.positive("every") },
	bind: func(e *Engine, s Spec) (act, error) {
		if on, ok := e.system.(located); !ok || on.Runtime() != onDocker {
			return leverFault{"broker.rebalance", []string{"every"}, "heartbeats were answered with a rebalance"}.act(e, s)
		}
		// A real broker has no lever for it, but strangers may come and go.
		stack, err := means[Rebalancer](e, "groups to disturb")
		storm := &rebalancing{stack: stack}
		return act{
			places: []string{"broker"},
			apply: func(ctx context.Context, _ string) (Sight, error) {
				storm.begin(ctx, s)
				return Sight{Detail: "strangers come and go in every group", Armed: true}, nil
			},
			look: func(context.Context, string) (Sight, error) { return storm.seen() },
			undo: func(context.Context, string) (Sight, error) {
				storm.stop()
				storm.running.Wait()
				came, err := storm.seen()
				sight := saw("the strangers are gone")
				if err == nil {
					sight.Came = came.Detail
				}
				return sight, nil
			},
		}, err
	},
}

// rebalancing is a storm of strangers.
type rebalancing struct {
	stack   Rebalancer
	stop    context.CancelFunc
	running sync.WaitGroup

	mu    sync.Mutex
	times int
	err   error // of the latest attempt
}

func (r *rebalancing) begin(ctx context.Context, s Spec) {
	ctx, r.stop = context.WithCancel(context.WithoutCancel(ctx))
	r.running.Go(func() {
		for {
			n, err := r.stack.Rebalance(ctx)
			r.mu.Lock()
			r.times, r.err = r.times+n, err
			r.mu.Unlock()
			if !sleep(ctx, s.duration("every")) {
				return
			}
		}
	})
}

func (r *rebalancing) seen() (Sight, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.times == 0 {
		return Sight{Armed: true}, errors.Join(fmt.Errorf("no group has rebalanced yet"), r.err)
	}
	return saw("groups rebalanced %d times for strangers", r.times), nil
}

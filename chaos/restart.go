package chaos

import (
	"context"
	"time"
)

// Restarter starts processes again.
type Restarter interface {
	// Restart ends the process gracefully and starts it again, returning
	// when it is ready. One that is held down is only started.
	Restart(ctx context.Context, replica string) (at time.Time, detail string, err error)
	// AwaitReady returns when the replica is ready.
	AwaitReady(ctx context.Context, replica string) (at time.Time, detail string, err error)
}

var restart = Definition{
	Name:    "restart",
	Family:  ProcessFamily,
	Summary: "SIGTERM, a graceful end, and a new start",
	Targets: processes,
	Options: []Option{replicasOption},
	Example: "ordbench chaos restart order-0",
	piles:   true,
	bind: func(e *Engine, _ Spec) (act, error) {
		stack, err := means[Restarter](e, "processes to restart")
		return act{
			apply: func(ctx context.Context, replica string) (Sight, error) {
				asked := time.Now()
				s, err := witnessed(stack.Restart(ctx, replica))
				s.Since = asked
				return s, err
			},
		}, err
	},
}

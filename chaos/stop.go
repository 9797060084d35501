package chaos

import (
	"context"
	"time"
)

// Stopper ends processes in good order.
type Stopper interface {
	// Stop asks the process to end, sees it gone, and holds it down.
	Stop(ctx context.Context, replica string, hold time.Duration) (at time.Time, detail string, err error)
	Restarter
}

// downForGood is how long something is held down that comes back only when it
// is healed.
const downForGood = 24 * time.Hour

var stop = Definition{
	Name:    "stop",
	Family:  ProcessFamily,
	Summary: "SIGTERM: a graceful end, and then it is away",
	Targets: processes,
	Options: []Option{forOption, replicasOption},
	Example: "ordbench chaos stop payment --for 5s",
	bind: func(e *Engine, s Spec) (act, error) {
		stack, err := means[Stopper](e, "processes to stop")
		return act{
			apply: func(ctx context.Context, replica string) (Sight, error) {
				asked := time.Now()
				s, err := witnessed(stack.Stop(ctx, replica, downForGood))
				s.Since = asked // it takes nothing new from here on
				return s, err
			},
			undo: func(ctx context.Context, replica string) (Sight, error) {
				return witnessed(stack.Restart(ctx, replica))
			},
		}, err
	},
}

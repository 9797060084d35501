package chaos

import (
	"context"
	"errors"
	"os"
	"time"
)

// Killer ends processes. The effects return when they were seen and how.
type Killer interface {
	// Kill ends the process at once, sees it dead, and holds it down: 0
	// leaves the restart to the supervisor.
	Kill(ctx context.Context, replica string, hold time.Duration) (at time.Time, detail string, err error)
	Restarter
}

var kill = Definition{
	Name:    "kill",
	Family:  ProcessFamily,
	Summary: "SIGKILL: no goodbye, memory lost, disk kept",
	Targets: processes,
	Options: []Option{
		{Name: "restart_after", Kind: Duration, Default: "0s", Summary: "how long it is held down; 0s leaves the restart to the supervisor"},
		replicasOption,
	},
	Example: "ordbench chaos kill inventory --restart-after 2s",
	length:  "restart_after",
	piles:   true,
	bind: func(e *Engine, s Spec) (act, error) {
		stack, err := means[Killer](e, "processes to kill")
		return act{
			apply: func(ctx context.Context, replica string) (Sight, error) {
				return witnessed(stack.Kill(ctx, replica, s.For()))
			},
			undo: func(ctx context.Context, replica string) (Sight, error) {
				return witnessed(stack.Restart(ctx, replica))
			},
			over: func(ctx context.Context, replica string) (Sight, error) {
				return witnessed(stack.AwaitReady(ctx, replica))
			},
		}, err
	},
}

// notGone is nil for what was scaled away.
func notGone(err error) error {
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

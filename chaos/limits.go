package chaos

import (
	"context"
)

// Limiter sets resource limits of processes from outside.
type Limiter interface {
	// Limit lowers a limit of whichever process is in a replica's place:
	// "files" to how many it has open and spare more, "file-bytes" to a
	// size. detail is what the process table says now. It may be called
	// again; fresh says that the process did not have it before.
	Limit(ctx context.Context, replica, limit string, spare int64) (detail string, fresh bool, err error)
	// Unlimit gives the process its limit back.
	Unlimit(ctx context.Context, replica, limit string) (detail string, err error)
}

// limitFault is a limit that is held in place.
func limitFault(limit string, spare func(Spec) int64) func(*Engine, Spec) (act, error) {
	return func(e *Engine, s Spec) (act, error) {
		stack, err := means[Limiter](e, "processes with limits")
		return act{
			apply: func(ctx context.Context, replica string) (Sight, error) {
				detail, _, err := stack.Limit(ctx, replica, limit, spare(s))
				return saw("%s", detail), err
			},
			look: func(ctx context.Context, replica string) (Sight, error) {
				detail, fresh, err := stack.Limit(ctx, replica, limit, spare(s))
				if err != nil || !fresh {
					return Sight{}, err
				}
				again := saw("%s", detail)
				again.Again = true
				return again, nil
			},
			undo: func(ctx context.Context, replica string) (Sight, error) {
				detail, err := stack.Unlimit(ctx, replica, limit)
				return saw("%s", detail), err
			},
		}, err
	}
}

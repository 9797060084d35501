package chaos

import "context"

var cacheAway = Definition{
	Name:    "cache-away",
	Family:  DependencyFamily,
	Summary: "the cache is gone and nobody answers in its place",
	Targets: cacheOnly,
	Options: []Option{forOption},
	Example: "ordbench chaos cache-away cache --for 5s",
	bind: func(e *Engine, _ Spec) (act, error) {
		stack, err := means[Killer](e, "processes to kill")
		return act{
			apply: func(ctx context.Context, replica string) (Sight, error) {
				return witnessed(stack.Kill(ctx, replica, downForGood))
			},
			undo: func(ctx context.Context, replica string) (Sight, error) {
				return witnessed(stack.Restart(ctx, replica))
			},
		}, err
	},
}

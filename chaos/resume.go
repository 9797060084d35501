package chaos

import "context"

var resume = Definition{
	Name:    "resume",
	Family:  ProcessFamily,
	Summary: "SIGCONT: ends a pause",
	Targets: processes,
	Options: []Option{replicasOption},
	Example: "ordbench chaos resume broker",
	bind: func(e *Engine, _ Spec) (act, error) {
		stack, err := means[Pauser](e, "processes to resume")
		return act{
			apply: func(ctx context.Context, replica string) (Sight, error) {
				return e.release("pause", replica, "resumed", func() (Sight, error) {
					return witnessed(stack.Resume(ctx, replica))
				})
			},
		}, err
	},
}

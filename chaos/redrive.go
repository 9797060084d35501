package chaos

import "context"

// Redriver sends back what consumers have given up.
type Redriver interface {
	// RedriveAll sends every dead letter back to the group that gave it up, and
	// returns when the broker has acknowledged them. That there is none is an
	// error.
	RedriveAll(ctx context.Context) (detail string, err error)
}

var redrive = Definition{
	Name:    "redrive",
	Family:  BrokerFamily,
	Summary: "what was given up is sent back to be tried again",
	Targets: brokerOnly,
	Example: "ordbench chaos redrive broker",
	piles:   true,
	bind: func(e *Engine, s Spec) (act, error) {
		stack, err := means[Redriver](e, "dead letters")
		return act{
			apply: func(ctx context.Context, _ string) (Sight, error) {
				detail, err := stack.RedriveAll(ctx)
				return saw("%s", detail), err
			},
		}, err
	},
}

package chaos

import "context"

// Poisoner writes messages that no consumer can read.
type Poisoner interface {
	// Poison publishes n broken messages to a topic, and returns when the
	// broker has acknowledged them.
	Poison(ctx context.Context, topic string, n int) (detail string, err error)
}

var poison = Definition{
	Name:    "poison",
	Family:  BrokerFamily,
	Summary: "messages that nobody can read stand in a topic",
	Targets: brokerOnly,
	Options: []Option{
		{Name: "topic", Kind: Word, Default: "orders-topic", Summary: "that they are written to"},
		{Name: "messages", Kind: Count, Default: "10", Summary: "how many"},
	},
	Example: "ordbench chaos poison broker --topic orders-topic --messages 10",
	piles:   true,
	check: func(s Spec) *UsageError {
		if p := s.checkTopic(); p != nil {
			return p
		}
		if s.count("messages") == 0 {
			return &UsageError{Field: "messages", Message: "0 messages harm nobody"}
		}
		return nil
	},
	bind: func(e *Engine, s Spec) (act, error) {
		stack, err := means[Poisoner](e, "topics to write to")
		return act{
			apply: func(ctx context.Context, _ string) (Sight, error) {
				detail, err := stack.Poison(ctx, s.text("topic"), s.count("messages"))
				return saw("%s", detail), err
			},
		}, err
	},
}

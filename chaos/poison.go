package chaos

import (
	"context"
	"fmt"
	"slices"
)

// topics are those that services read. A test holds them to those of the
// system.
var topics = []string{
	"orders-topic", "inventory-topic", "payment-topic",
	"order-group.retry", "inventory-group.retry", "payment-group.retry", "notification-group.retry",
}

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
		if topic := s.text("topic"); !slices.Contains(topics, topic) {
			return &UsageError{Field: "topic", Message: fmt.Sprintf("unknown topic %q", topic), Hint: suggest(topic, topics)}
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

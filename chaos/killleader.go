package chaos

import (
	"context"
	"fmt"
	"time"
)

// Leaders says which broker leads a topic.
type Leaders interface {
	// Leader is the broker that leads most partitions of a topic, and how
	// many.
	Leader(ctx context.Context, topic string) (replica string, partitions int, err error)
	Killer
}

var killLeader = Definition{
	Name:    "kill-leader",
	Family:  BrokerFamily,
	Summary: "SIGKILL to the broker that leads most of a topic; others take over",
	Targets: brokerOnly,
	Options: []Option{
		{Name: "topic", Kind: Word, Default: "orders-topic", Summary: "whose leader dies"},
		{Name: "restart_after", Kind: Duration, Default: "5s", Summary: "how long it is held down"},
	},
	NotOn:   map[string]string{onLocal: "it has one broker, and nobody could take over: take kill broker"},
	Example: "ordbench chaos kill-leader broker --restart-after 10s   # needs system.broker.replicas: 3",
	Least:   2,
	length:  "restart_after",
	check: func(s Spec) *UsageError {
		if s.For() < time.Second {
			return &UsageError{Field: "restart_after", Message: "others take over in seconds: hold it down for 1s at least"}
		}
		return nil
	},
	bind: func(e *Engine, s Spec) (act, error) {
		stack, err := means[Leaders](e, "brokers to choose a leader from")
		if err != nil {
			return act{}, err
		}
		topic := s.text("topic")
		killed := "" // the broker that died
		took := func(ctx context.Context, _ string) (Sight, error) {
			leader, led, err := stack.Leader(ctx, topic)
			switch {
			case err != nil:
				return Sight{Armed: true}, err
			case leader == killed:
				return Sight{Armed: true}, fmt.Errorf("nobody has taken over from %s yet", killed)
			}
			return saw("%s has taken over and leads %d partitions of %s", leader, led, topic), nil
		}
		// ended is undo or over, with a last look before: with the broker that
		// died the lead may come back.
		ended := func(how func(context.Context, string) (time.Time, string, error)) func(context.Context, string) (Sight, error) {
			return func(ctx context.Context, place string) (Sight, error) {
				if killed == "" {
					return Sight{}, nil
				}
				looking, cancel := context.WithTimeout(ctx, lastLook)
				last, err := took(looking, place)
				cancel()
				sight, failed := witnessed(how(ctx, killed))
				if err == nil {
					sight.Came = last.Detail
				}
				return sight, failed
			}
		}
		return act{
			places: []string{"broker"},
			apply: func(ctx context.Context, _ string) (Sight, error) {
				leader, led, err := stack.Leader(ctx, topic)
				if err != nil {
					return Sight{}, err
				}
				killed = leader
				at, detail, err := stack.Kill(ctx, leader, s.For())
				return Sight{At: at, Detail: fmt.Sprintf("%s led %d partitions of %s: %s", leader, led, topic, detail), Armed: true}, err
			},
			look: took,
			undo: ended(stack.Restart),
			over: ended(stack.AwaitReady),
		}, nil
	},
}

// lastLook is how long the end of a fault waits for what came of it.
const lastLook = time.Second

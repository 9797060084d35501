package chaos

import "context"

var packetDelay = Definition{
	Name:    "packet-delay",
	Family:  PacketFamily,
	Summary: "every packet that a container sends leaves later, handshakes too",
	Targets: processes,
	Options: []Option{
		{Name: "delay", Kind: Duration, Default: "100ms", Summary: "that is added"},
		{Name: "jitter", Kind: Duration, Default: "0s", Summary: "around the delay"},
		forOption, replicasOption,
	},
	Needs:   []Need{{What: needNetem, On: onDocker}},
	NotOn:   map[string]string{onLocal: sharedNetwork},
	Example: "ordbench chaos packet-delay database --delay 50ms --for 10s",
	check: func(s Spec) *UsageError {
		if s.duration("delay") == 0 {
			return &UsageError{Field: "delay", Message: "a delay of nothing delays nothing"}
		}
		return nil
	},
	bind: func(e *Engine, s Spec) (act, error) {
		stack, err := means[Packets](e, "packets to delay")
		delay := func(ctx context.Context, replica string) (Sight, error) {
			fresh, err := stack.DelayPackets(ctx, replica, s.duration("delay"), s.duration("jitter"))
			if err != nil || !fresh {
				return Sight{}, err
			}
			return saw("the kernel queues what it sends for %s", s.duration("delay")), nil
		}
		return act{
			apply: delay,
			look: func(ctx context.Context, replica string) (Sight, error) {
				sight, err := delay(ctx, replica)
				sight.Again = sight.Detail != ""
				return sight, err
			},
			undo: func(ctx context.Context, replica string) (Sight, error) {
				if err := stack.UndelayPackets(ctx, replica); err != nil {
					return Sight{}, err
				}
				return saw("the queue is gone"), nil
			},
		}, err
	},
}

package chaos

import (
	"context"
	"fmt"
)

var packetLoss = Definition{
	Name:    "packet-loss",
	Family:  PacketFamily,
	Summary: "packets are lost in the network of a container; at 100% it is cut off",
	Targets: processes,
	Options: []Option{
		{Name: "share", Kind: Share, Default: "30%", Summary: "of the packets"},
		{Name: "peer", Kind: Word, Default: "all", Words: append([]string{"all", Client}, processes...), Summary: "to or from whom; all are the other containers, client is this machine"},
		{Name: "way", Kind: Word, Default: "both", Words: []string{"both", "sent", "received"}, Summary: "what the target sends, or what it receives"},
		forOption, replicasOption,
	},
	NotOn:   map[string]string{onLocal: sharedNetwork},
	Example: "ordbench chaos packet-loss inventory --share 30% --peer broker --for 10s",
	check: func(s Spec) *UsageError {
		if component, _ := s.component(); component == s.text("peer") {
			return &UsageError{Field: "peer", Message: fmt.Sprintf("%s sends nothing to itself", component)}
		}
		return nil
	},
	bind: func(e *Engine, s Spec) (act, error) {
		stack, err := means[Packets](e, "packets to lose")
		lose := func(ctx context.Context, replica string) (int64, bool, error) {
			return stack.LosePackets(ctx, replica, s.text("peer"), s.share("share"), s.text("way") != "received", s.text("way") != "sent")
		}
		return act{
			apply: func(ctx context.Context, replica string) (Sight, error) {
				lost, _, err := lose(ctx, replica)
				sight := saw("packet rules are in place, %d packets lost so far", lost)
				sight.Armed = lost == 0
				return sight, err
			},
			look: func(ctx context.Context, replica string) (Sight, error) {
				lost, fresh, err := lose(ctx, replica)
				switch {
				case err != nil:
					return Sight{}, err
				case fresh:
					sight := saw("packet rules are in place again: it had started anew")
					sight.Again, sight.Armed = true, true
					return sight, nil
				case lost == 0:
					return Sight{Armed: true}, fmt.Errorf("no packet of %s met the rules", replica)
				}
				return saw("%d packets were lost", lost), nil
			},
			undo: func(ctx context.Context, replica string) (Sight, error) {
				lost, err := stack.PassPackets(ctx, replica)
				sight := saw("packets pass again")
				if lost > 0 {
					sight.Came = fmt.Sprintf("%d packets were lost", lost)
				}
				return sight, err
			},
		}, err
	},
}

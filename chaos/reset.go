package chaos

import (
	"fmt"

	"github.com/ordbench/ordbench/chaos/proxy"
)

var reset = Definition{
	Name:    "reset",
	Family:  LinkFamily,
	Summary: "connections are reset, those that are open and those to come",
	Targets: links,
	Options: []Option{
		{Name: "after", Kind: Duration, Default: "0s", Summary: "how long a connection may live"},
		{Name: "direction", Kind: Word, Default: "both", Words: directionOption.Words, Summary: "which end is told: forward resets who takes connections, backward who opens them, and the other end hears nothing"},
		shareOption, forOption,
	},
	Example: "ordbench chaos reset 'gateway->order' --share 30% --for 5s",
	on:      onLink,
	piles:   true,
	bind: func(e *Engine, s Spec) (act, error) {
		after := s.duration("after")
		return linkFault{
			rule:   proxy.Rule{Reset: true, ResetAfter: after},
			bytes:  1 << 20, // long enough to be met
			within: after + probeWithin,
			prove: func(p proxy.Probe) string {
				switch {
				case after > 0: // it may be over before its time comes
				case directions[s.text("direction")] != proxy.Forward:
					return turnedAway(p)
				case p.Silent:
					return "a probe was left without an answer, and its other end reset"
				}
				return ""
			},
			counted: func(c proxy.Count) string { return fmt.Sprintf("%d connections were reset", c.Connections) },
		}.act(e, s)
	},
}

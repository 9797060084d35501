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
				if after == 0 && (p.Reset || p.Refused) {
					return "a probe was reset"
				}
				return "" // it may be over before its time comes
			},
			counted: func(c proxy.Count) string { return fmt.Sprintf("%d connections were reset", c.Connections) },
		}.act(e, s)
	},
}

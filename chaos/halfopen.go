package chaos

import (
	"fmt"

	"github.com/ordbench/ordbench/chaos/proxy"
)

var halfOpen = Definition{
	Name:    "half-open",
	Family:  LinkFamily,
	Summary: "connections stay open and what is sent is lost: the peer is gone and nobody was told",
	Targets: links,
	Options: linkOptions(),
	Example: "ordbench chaos half-open 'gateway->cache' --for 5s",
	on:      onLink,
	piles:   true,
	bind: func(e *Engine, s Spec) (act, error) {
		return linkFault{
			rule: proxy.Rule{Mute: true},
			prove: func(p proxy.Probe) string {
				if p.Silent {
					return fmt.Sprintf("a probe heard nothing for %s", probeWithin)
				}
				return ""
			},
			counted: func(c proxy.Count) string {
				return fmt.Sprintf("%d connections lost %d bytes", c.Connections, c.Bytes)
			},
		}.act(e, s)
	},
}

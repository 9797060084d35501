package chaos

import (
	"fmt"

	"github.com/ordbench/ordbench/chaos/proxy"
)

var cut = Definition{
	Name:    "cut",
	Family:  LinkFamily,
	Summary: "open connections are reset and new ones refused",
	Targets: links,
	Options: []Option{forOption},
	Example: "ordbench chaos cut 'gateway->inventory' --for 5s",
	on:      onLink,
	piles:   true,
	bind:    bindCut,
}

func bindCut(e *Engine, s Spec) (act, error) {
	return linkFault{
		rule: proxy.Rule{Refuse: true},
		prove: func(p proxy.Probe) string {
			if p.Refused {
				return "a probe was refused"
			}
			return ""
		},
		counted: func(c proxy.Count) string { return fmt.Sprintf("%d open connections were reset", c.Connections) },
	}.act(e, s)
}

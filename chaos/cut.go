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
	Options: linkOptions(),
	Notes:   []string{refusalNote},
	Example: "ordbench chaos cut 'gateway->inventory' --for 5s",
	on:      onLink,
	piles:   true,
	bind: func(e *Engine, s Spec) (act, error) {
		return linkFault{
			rule:    s.refusal(),
			prove:   turnedAway,
			counted: func(c proxy.Count) string { return fmt.Sprintf("%d connections were reset", c.Connections) },
		}.act(e, s)
	},
}

// refusalNote is what a refusal can't be on one socket, for the catalogue.
const refusalNote = "a port can't refuse some: of a share, and one way, connections are accepted, and reset at once or as they send that way"

// refusal is a rule that turns connections away, as the options of a fault say.
func (s Spec) refusal() proxy.Rule {
	return proxy.Rule{Refuse: true, Direction: directions[s.text("direction")], Share: s.share("share")}
}

// turnedAway is what a probe shows that was refused or reset, "" for another.
func turnedAway(p proxy.Probe) string {
	switch {
	case p.Refused:
		return "a probe was refused"
	case p.Reset:
		return "a probe was reset"
	}
	return ""
}

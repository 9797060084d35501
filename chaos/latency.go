package chaos

import (
	"fmt"
	"time"

	"github.com/ordbench/ordbench/chaos/proxy"
)

var latency = Definition{
	Name:    "latency",
	Family:  LinkFamily,
	Summary: "everything takes longer on the way, each way that it works on",
	Targets: links,
	Options: []Option{
		{Name: "delay", Kind: Duration, Default: "200ms", Summary: "that is added"},
		{Name: "jitter", Kind: Duration, Default: "0s", Summary: "around the delay"},
		{Name: "spread", Kind: Word, Default: "uniform", Words: []string{"uniform", "normal", "pareto"}, Summary: "how the jitter is drawn: to both sides, as a bell with that deviation, or as a long tail above the delay"},
		{Name: "direction", Kind: Word, Default: "forward", Words: directionOption.Words, Summary: directionOption.Summary},
		shareOption, forOption,
	},
	Example: "ordbench chaos latency 'gateway->order' --delay 200ms --for 10s",
	on:      onLink,
	piles:   true,
	check: func(s Spec) *UsageError {
		if s.duration("delay") == 0 && s.duration("jitter") == 0 {
			return &UsageError{Field: "delay", Message: "neither delay nor jitter: there is nothing to add"}
		}
		return nil
	},
	bind: func(e *Engine, s Spec) (act, error) {
		delay, jitter := s.duration("delay"), s.duration("jitter")
		return linkFault{
			rule:   proxy.Rule{Delay: delay, Jitter: jitter, Spread: proxy.Spread(s.text("spread"))},
			within: 3*delay + 60*jitter + time.Second,
			prove: func(p proxy.Probe) string {
				if p.Took < (delay-jitter)*9/10 || p.Took == 0 {
					return ""
				}
				return fmt.Sprintf("a probe went there and back in %s", p.Took.Round(100*time.Microsecond))
			},
			counted: func(c proxy.Count) string {
				return fmt.Sprintf("%d pieces on %d connections took %s longer on average, %s at most", c.Delayed, c.Connections, c.Delay.Round(100*time.Microsecond), c.MaxDelay.Round(100*time.Microsecond))
			},
		}.act(e, s)
	},
}

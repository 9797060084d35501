package chaos

import (
	"fmt"
	"time"

	"github.com/ordbench/ordbench/chaos/proxy"
)

var bandwidth = Definition{
	Name:    "bandwidth",
	Family:  LinkFamily,
	Summary: "each connection carries only so many bytes a second",
	Targets: links,
	Options: linkOptions(Option{Name: "rate", Kind: Rate, Default: "64KiB/s", Summary: "of each connection, each way"}),
	Example: "ordbench chaos bandwidth 'inventory->broker' --rate 32KiB/s --for 10s",
	on:      onLink,
	piles:   true,
	bind: func(e *Engine, s Spec) (act, error) {
		rate := s.rate("rate")
		bytes := int(max(1, min(rate/4, 1<<20))) // a quarter of a second's worth
		expected := time.Duration(float64(bytes) / float64(rate) * float64(time.Second))
		return linkFault{
			rule:   proxy.Rule{BytesPerSecond: rate},
			bytes:  bytes,
			within: 3*expected + time.Second,
			prove: func(p proxy.Probe) string {
				if p.Took < expected*9/10 || p.Took == 0 {
					return ""
				}
				return fmt.Sprintf("a probe of %d bytes took %s, %.0f bytes/s", bytes, p.Took.Round(100*time.Microsecond), float64(bytes)/p.Took.Seconds())
			},
			counted: func(c proxy.Count) string {
				return fmt.Sprintf("%d bytes on %d connections went no faster than %d bytes/s", c.Bytes, c.Connections, rate)
			},
		}.act(e, s)
	},
}

package chaos

import (
	"fmt"
	"time"

	"github.com/ordbench/ordbench/chaos/proxy"
)

var slice = Definition{
	Name:    "slice",
	Family:  LinkFamily,
	Summary: "data come in small pieces with a pause between them",
	Targets: links,
	Options: linkOptions(
		Option{Name: "bytes", Kind: Bytes, Default: "64", Summary: "the largest piece"},
		Option{Name: "gap", Kind: Duration, Default: "1ms", Summary: "between two pieces"},
	),
	Example: "ordbench chaos slice 'gateway->order' --bytes 16 --gap 2ms --for 10s",
	on:      onLink,
	piles:   true,
	check: func(s Spec) *UsageError {
		if s.bytes("bytes") == 0 {
			return &UsageError{Field: "bytes", Message: "pieces of 0 bytes never arrive", Hint: "ordbench chaos half-open loses everything"}
		}
		return nil
	},
	bind: func(e *Engine, s Spec) (act, error) {
		bytes, gap := int(s.bytes("bytes")), s.duration("gap")
		const pieces = 20
		expected := (pieces - 1) * gap
		return linkFault{
			rule:   proxy.Rule{PieceBytes: bytes, PieceGap: gap},
			bytes:  pieces * bytes,
			within: 4*expected + time.Second,
			prove: func(p proxy.Probe) string {
				if p.Took < expected*9/10 || p.Took == 0 {
					return ""
				}
				return fmt.Sprintf("a probe of %d pieces took %s", pieces, p.Took.Round(100*time.Microsecond))
			},
			counted: func(c proxy.Count) string {
				return fmt.Sprintf("%d bytes on %d connections were sliced", c.Bytes, c.Connections)
			},
		}.act(e, s)
	},
}

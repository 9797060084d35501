package chaos

import (
	"fmt"

	"github.com/ordbench/ordbench/chaos/proxy"
)

var dropAfter = Definition{
	Name:    "drop-after",
	Family:  LinkFamily,
	Summary: "a connection is closed when it has carried so many bytes",
	Targets: links,
	Options: linkOptions(Option{Name: "bytes", Kind: Bytes, Default: "64KiB", Summary: "that pass before it is closed, each way"}),
	Example: "ordbench chaos drop-after 'order->broker' --bytes 16KiB --for 10s",
	on:      onLink,
	piles:   true,
	check: func(s Spec) *UsageError {
		if s.bytes("bytes") == 0 {
			return &UsageError{Field: "bytes", Message: "nothing would pass at all", Hint: "ordbench chaos reset does that"}
		}
		return nil
	},
	bind: func(e *Engine, s Spec) (act, error) {
		bytes := s.bytes("bytes")
		return linkFault{
			rule:  proxy.Rule{CloseAfter: bytes},
			bytes: int(min(bytes+1, 4<<20)),
			prove: func(p proxy.Probe) string {
				if p.Reset && bytes < 4<<20 {
					return fmt.Sprintf("a probe was closed before byte %d was back", bytes+1)
				}
				return ""
			},
			counted: func(c proxy.Count) string {
				return fmt.Sprintf("%d connections met it, %d bytes did not pass", c.Connections, c.Bytes)
			},
		}.act(e, s)
	},
}

//go:build ordbench_pulse

package telemetry

import "time"

// Pulse is how long tracing is on, and then off, by the clock, all over the
// system: in one run, half a second apart, the same processes on the same cores
// do the same with it and without it.
const Pulse = 500 * time.Millisecond

// untilExport has the exports fall into the pulses, as many of them as there
// are otherwise, one a second, and each with all that one pulse made.
func untilExport() time.Duration {
	const at = Pulse / 2
	now := time.Duration(time.Now().UnixNano())
	return 2*Pulse - (now-at)%(2*Pulse)
}

// on tells whether tracing is on.
func (t *Tracer) on() bool {
	return t != nil && time.Now().UnixMilli()/Pulse.Milliseconds()%2 == 0
}

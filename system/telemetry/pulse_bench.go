//go:build ordbench_pulse

package telemetry

import "time"

// Pulse is how long tracing is on, and then off, by the clock, all over the
// system: in one run, half a second apart, the same processes on the same cores
// do the same with it and without it.
const Pulse = 500 * time.Millisecond

// exportEvery is short, so that what a pulse costs is in it.
const exportEvery = 50 * time.Millisecond

// on tells whether tracing is on.
func (t *Tracer) on() bool {
	return t != nil && time.Now().UnixMilli()/Pulse.Milliseconds()%2 == 0
}

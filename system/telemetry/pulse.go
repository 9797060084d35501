//go:build !ordbench_pulse

package telemetry

import "time"

// untilExport is the time from one export to the next: spans are safe in the
// spool, so that nothing is urgent.
func untilExport() time.Duration { return time.Second }

// on tells whether tracing is on: always, where there is a Tracer, but in the
// program that BenchmarkTracing builds, in which it pulsates.
func (t *Tracer) on() bool { return t != nil }

//go:build !ordbench_pulse

package telemetry

import "time"

// exportEvery is the time between exports: spans are safe in the spool, so that
// nothing is urgent.
const exportEvery = time.Second

// on tells whether tracing is on: always, where there is a Tracer, but in the
// program that BenchmarkTracing builds, in which it pulsates.
func (t *Tracer) on() bool { return t != nil }

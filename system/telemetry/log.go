// Package telemetry says how a component is: NewLogger writes its log,
// NewRegistry and Requests count its work, Admin answers for its health.
//
// The invariant is that readiness is about the component itself: a component
// is ready when it can take work, not when all that it depends on is well,
// so that one dead dependency does not take the whole system out of service.
package telemetry

import (
	"io"
	"log/slog"
)

// NewLogger writes one JSON object per line to w, each marked with the
// component and the replica; an empty mark is left out.
func NewLogger(w io.Writer, component, replica string) *slog.Logger {
	log := slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: slog.LevelInfo}))
	if component != "" {
		log = log.With("component", component)
	}
	if replica != "" {
		log = log.With("replica", replica)
	}
	return log
}

// Package telemetry says how a component is: NewLogger writes its log,
// NewRegistry and Requests count its work, Admin answers for its health.
//
// The invariant is that readiness is about the component itself: a component
// is ready when it can take work, not when all that it depends on is well,
// so that one dead dependency does not take the whole system out of service.
package telemetry

import (
	"context"
	"encoding/hex"
	"io"
	"log/slog"
)

// NewLogger writes one JSON object per line to w, each marked with the
// component and the replica; an empty mark is left out. A line about work that
// is traced carries trace_id and span_id, if it is logged with the context of
// that work.
func NewLogger(w io.Writer, component, replica string) *slog.Logger {
	log := slog.New(tracedHandler{slog.NewJSONHandler(w, &slog.HandlerOptions{Level: slog.LevelInfo})})
	if component != "" {
		log = log.With("component", component)
	}
	if replica != "" {
		log = log.With("replica", replica)
	}
	return log
}

// tracedHandler adds the ids of the span of a context.
type tracedHandler struct{ slog.Handler }

func (h tracedHandler) Handle(ctx context.Context, r slog.Record) error {
	if c := around(ctx); c.valid() {
		r.AddAttrs(slog.String("trace_id", hex.EncodeToString(c.trace[:])), slog.String("span_id", hex.EncodeToString(c.id[:])))
	}
	return h.Handler.Handle(ctx, r)
}

func (h tracedHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return tracedHandler{h.Handler.WithAttrs(attrs)}
}

func (h tracedHandler) WithGroup(name string) slog.Handler {
	return tracedHandler{h.Handler.WithGroup(name)}
}

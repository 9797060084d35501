package order

import (
	"context"
	"log/slog"

	"github.com/ordbench/ordbench/system/bus"
	"github.com/ordbench/ordbench/system/events"
	"github.com/ordbench/ordbench/system/lever"
	"github.com/ordbench/ordbench/system/telemetry"
)

// listener turns what inventory and payment say into statuses of orders.
type listener struct {
	book    *book
	metrics *metrics
	tracer  *telemetry.Tracer
	log     *slog.Logger
}

// handle applies one batch; it is a bus.Handler. What cannot be read will
// never be readable, so it is logged with its place and left behind: retrying
// it would hold up its whole partition for ever.
func (l *listener) handle(ctx context.Context, batch []bus.Message) (err error) {
	work := l.tracer.Process(events.OrderGroup)
	defer func() { work.End(err) }()
	readable := make([]events.Event, 0, len(batch))
	for _, m := range batch {
		e, err := events.Decode(m.Value)
		if err != nil {
			l.log.ErrorContext(telemetry.Continue(ctx, m.Header(bus.Traceparent)), "message left behind", "topic", m.Topic, "partition", m.Partition, "offset", m.Offset, "error", err)
			continue
		}
		if ends[e.Type] != "" {
			e.Traceparent = work.Take(telemetry.Delivery{
				Topic: m.Topic, Partition: m.Partition, Offset: m.Offset, Traceparent: m.Header(bus.Traceparent),
				Event: e.Type, OrderID: e.OrderID,
			})
		}
		readable = append(readable, e)
	}
	var out applied
	if len(readable) > 0 {
		if out, err = l.book.apply(ctx, readable, lever.Now()); err != nil {
			return err
		}
	}
	for status, n := range out.moved {
		l.metrics.moved.WithLabelValues(string(status)).Add(float64(n))
	}
	l.metrics.events.WithLabelValues("repeated").Add(float64(out.repeated))
	l.metrics.events.WithLabelValues("ignored").Add(float64(out.ignored))
	l.metrics.events.WithLabelValues("unreadable").Add(float64(len(batch) - len(readable)))
	return nil
}

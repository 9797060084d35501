package notification

import (
	"context"
	"log/slog"
	"time"

	"github.com/ordbench/ordbench/system/bus"
	"github.com/ordbench/ordbench/system/events"
	"github.com/ordbench/ordbench/system/lever"
	"github.com/ordbench/ordbench/system/telemetry"
)

// herald turns the ends of orders into notifications.
type herald struct {
	mailbox     *mailbox
	metrics     *metrics
	deadLetters bool // what cannot be read is laid aside
	tracer      *telemetry.Tracer
	log         *slog.Logger
}

// handle tells of one batch; it is a bus.Handler. What cannot be read
// will never be readable: it is laid aside, or without dead letters logged with
// its place and left behind.
func (h *herald) handle(ctx context.Context, batch []bus.Message) (err error) {
	work := h.tracer.Process(events.NotificationGroup)
	defer func() { work.End(err) }()
	start := time.Now()
	ends := make([]events.Event, 0, len(batch))
	unreadable, ignored := 0, 0
	for _, m := range batch {
		e, err := events.Decode(m.Value)
		switch {
		case err != nil:
			if h.deadLetters {
				return bus.Poison(err)
			}
			unreadable++
			h.log.ErrorContext(telemetry.Continue(ctx, m.Header(bus.Traceparent)), "message left behind", "topic", m.Topic, "partition", m.Partition, "offset", m.Offset, "error", err)
		case kinds[e.Type] == "":
			ignored++
		default:
			e.Traceparent = work.Take(telemetry.Delivery{
				Topic: m.Topic, Partition: m.Partition, Offset: m.Offset, Traceparent: m.Header(bus.Traceparent),
				Event: e.Type, OrderID: e.OrderID,
			})
			ends = append(ends, e)
		}
	}
	var out tally
	if len(ends) > 0 {
		if out, err = h.mailbox.send(ctx, ends, lever.Now()); err != nil {
			return err
		}
	}
	for kind, n := range out.sent {
		h.metrics.sent.WithLabelValues(kind).Add(float64(n))
	}
	h.metrics.events.WithLabelValues("repeated").Add(float64(out.repeated))
	h.metrics.events.WithLabelValues("ignored").Add(float64(ignored))
	h.metrics.events.WithLabelValues("unreadable").Add(float64(unreadable))
	h.metrics.batch.Observe(time.Since(start).Seconds())
	return nil
}

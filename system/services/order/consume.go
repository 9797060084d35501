package order

import (
	"context"
	"log/slog"
	"slices"

	"github.com/ordbench/ordbench/system/bus"
	"github.com/ordbench/ordbench/system/events"
	"github.com/ordbench/ordbench/system/lever"
	"github.com/ordbench/ordbench/system/telemetry"
)

// deadTopics are where all groups lay aside what they have given up.
var deadTopics = func() (topics []string) {
	for _, group := range events.Groups() {
		topics = append(topics, bus.DeadTopic(group))
	}
	return topics
}()

// listener turns what inventory and payment say into statuses of orders.
type listener struct {
	book        *book
	metrics     *metrics
	deadLetters bool // what cannot be read is laid aside
	tracer      *telemetry.Tracer
	log         *slog.Logger
}

// handle applies one batch; it is a bus.Handler. An order of which a message
// was laid aside, by whatever group, is parked. What cannot be read will never
// be readable: it is laid aside, or without dead letters logged with its place
// and left behind.
func (l *listener) handle(ctx context.Context, batch []bus.Message) (err error) {
	work := l.tracer.Process(events.OrderGroup)
	defer func() { work.End(err) }()
	readable := make([]events.Event, 0, len(batch))
	var stuck []string
	for _, m := range batch {
		if slices.Contains(deadTopics, m.Topic) {
			stuck = append(stuck, m.Key)
			continue
		}
		e, err := events.Decode(m.Value)
		if err != nil {
			if l.deadLetters {
				return bus.Poison(err)
			}
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
	if len(stuck) > 0 {
		parked, err := l.book.park(ctx, stuck, lever.Now())
		if err != nil {
			return err
		}
		l.metrics.moved.WithLabelValues(string(Parked)).Add(float64(parked))
	}
	for status, n := range out.moved {
		l.metrics.moved.WithLabelValues(string(status)).Add(float64(n))
	}
	l.metrics.events.WithLabelValues("repeated").Add(float64(out.repeated))
	l.metrics.events.WithLabelValues("ignored").Add(float64(out.ignored))
	l.metrics.events.WithLabelValues("unreadable").Add(float64(len(batch) - len(readable) - len(stuck)))
	return nil
}

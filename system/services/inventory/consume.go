package inventory

import (
	"context"
	"log/slog"
	"time"

	"github.com/ordbench/ordbench/system/bus"
	"github.com/ordbench/ordbench/system/events"
	"github.com/ordbench/ordbench/system/lever"
	"github.com/ordbench/ordbench/system/telemetry"
)

// clerk turns orders into reservations, and payments into sales.
type clerk struct {
	stock       *stock
	work        time.Duration // what one new order costs beside the database
	metrics     *metrics
	deadLetters bool // what cannot be read is laid aside
	tracer      *telemetry.Tracer
	log         *slog.Logger
}

// handle works one batch off; it is a bus.Handler. What cannot be read
// will never be readable: it is laid aside, or without dead letters logged with
// its place and left behind.
func (c *clerk) handle(ctx context.Context, batch []bus.Message) (err error) {
	work := c.tracer.Process(events.InventoryGroup)
	defer func() { work.End(err) }()
	start := time.Now()
	readable := make([]events.Event, 0, len(batch))
	unreadable, ignored, orders := 0, 0, 0
	for _, m := range batch {
		e, err := events.Decode(m.Value)
		if err != nil {
			if c.deadLetters {
				return bus.Poison(err)
			}
			unreadable++
			c.log.ErrorContext(telemetry.Continue(ctx, m.Header(bus.Traceparent)), "message left behind", "topic", m.Topic, "partition", m.Partition, "offset", m.Offset, "error", err)
			continue
		}
		switch e.Type {
		case events.OrderCreated:
			orders++
		case events.PaymentCaptured, events.PaymentDeclined, events.PaymentRefunded:
		default:
			ignored++
			continue
		}
		e.Traceparent = work.Take(telemetry.Delivery{
			Topic: m.Topic, Partition: m.Partition, Offset: m.Offset, Traceparent: m.Header(bus.Traceparent),
			Event: e.Type, OrderID: e.OrderID,
		})
		readable = append(readable, e)
	}
	var out tally
	if len(readable) > 0 {
		// One sleep for all: whoever works on a batch does one thing at a
		// time, and the system's timer is too coarse to sleep for each.
		if err := pause(ctx, time.Duration(orders)*c.work); err != nil {
			return err
		}
		if out, err = c.stock.apply(ctx, readable, lever.Now()); err != nil {
			return err
		}
	}
	for outcome, n := range map[string]int{
		"reserved": out.reserved, "rejected": out.rejected, "sold": out.sold, "released": out.released, "returned": out.returned, "repeated": out.repeated,
		"ignored": ignored, "unreadable": unreadable,
	} {
		c.metrics.orders.WithLabelValues(outcome).Add(float64(n))
	}
	c.metrics.batch.Observe(time.Since(start).Seconds())
	return nil
}

// pause waits for d or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	over := time.NewTimer(d)
	defer over.Stop()
	select {
	case <-over.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

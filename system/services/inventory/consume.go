package inventory

import (
	"context"
	"log/slog"
	"time"

	"github.com/ordbench/ordbench/system/bus"
	"github.com/ordbench/ordbench/system/events"
)

// clerk turns orders into reservations.
type clerk struct {
	stock   *stock
	work    time.Duration // what one order costs beside the database
	metrics *metrics
	log     *slog.Logger
}

// handle decides about one batch; it is a bus.Handler. What cannot be read
// will never be readable, so it is logged with its place and left behind:
// retrying it would hold up its whole partition for ever.
func (c *clerk) handle(ctx context.Context, batch []bus.Message) error {
	start := time.Now()
	orders := make([]events.Event, 0, len(batch))
	unreadable, ignored := 0, 0
	for _, m := range batch {
		e, err := events.Decode(m.Value)
		switch {
		case err != nil:
			unreadable++
			c.log.Error("message left behind", "topic", m.Topic, "partition", m.Partition, "offset", m.Offset, "error", err)
		case e.Type != events.OrderCreated:
			ignored++
		default:
			orders = append(orders, e)
		}
	}
	var out tally
	if len(orders) > 0 {
		// One sleep for all: a replica does one thing at a time, and the
		// system's timer is too coarse to sleep for each.
		if err := pause(ctx, time.Duration(len(orders))*c.work); err != nil {
			return err
		}
		var err error
		if out, err = c.stock.reserve(ctx, orders, time.Now()); err != nil {
			return err
		}
	}
	for outcome, n := range map[string]int{
		"reserved": out.reserved, "rejected": out.rejected, "repeated": out.repeated,
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

package payment

import (
	"context"
	"log/slog"
	"time"

	"github.com/ordbench/ordbench/system/bus"
	"github.com/ordbench/ordbench/system/events"
	"github.com/ordbench/ordbench/system/lever"
	"github.com/ordbench/ordbench/system/telemetry"
)

// clerk turns reservations into payments.
type clerk struct {
	cashier     *cashier
	ledger      *ledger
	metrics     *metrics
	deadLetters bool // what cannot be read is laid aside
	tracer      *telemetry.Tracer
	log         *slog.Logger
}

// handle charges one batch; it is a bus.Handler. The money comes before the
// books: killed in between, the orders come again and the provider knows
// their keys. What cannot be read will never be readable: it is laid aside, or
// without dead letters logged with its place and left behind.
func (c *clerk) handle(ctx context.Context, batch []bus.Message) (err error) {
	work := c.tracer.Process(events.PaymentGroup)
	defer func() { work.End(err) }()
	start := time.Now()
	orders := make([]events.Event, 0, len(batch))
	unreadable, ignored := 0, 0
	for _, m := range batch {
		e, err := events.Decode(m.Value)
		switch {
		case err != nil:
			if c.deadLetters {
				return bus.Poison(err)
			}
			unreadable++
			c.log.ErrorContext(telemetry.Continue(ctx, m.Header(bus.Traceparent)), "message left behind", "topic", m.Topic, "partition", m.Partition, "offset", m.Offset, "error", err)
		case e.Type != events.InventoryReserved:
			ignored++
		default:
			e.Traceparent = work.Take(telemetry.Delivery{
				Topic: m.Topic, Partition: m.Partition, Offset: m.Offset, Traceparent: m.Header(bus.Traceparent),
				Event: e.Type, OrderID: e.OrderID,
			})
			orders = append(orders, e)
		}
	}
	var out tally
	if len(orders) > 0 {
		if err := beforeCharge.Hit(ctx); err != nil {
			return err
		}
		outcomes, err := c.cashier.charge(ctx, orders)
		if err != nil {
			return err
		}
		if err := afterCharge.Hit(ctx); err != nil {
			return err
		}
		if out, err = c.ledger.record(ctx, orders, outcomes, lever.Now()); err != nil {
			return err
		}
	}
	for outcome, n := range map[string]int{
		"captured": out.captured, "declined": out.declined, "repeated": out.repeated,
		"ignored": ignored, "unreadable": unreadable,
	} {
		c.metrics.orders.WithLabelValues(outcome).Add(float64(n))
	}
	c.metrics.batch.Observe(time.Since(start).Seconds())
	return nil
}

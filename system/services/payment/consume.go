package payment

import (
	"context"
	"log/slog"
	"maps"
	"slices"
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

// handle charges one batch, and refunds what was cancelled; it is a
// bus.Handler. The money comes before the
// books: killed in between, the orders come again and the provider knows
// their keys. What cannot be read will never be readable: it is laid aside, or
// without dead letters logged with its place and left behind.
func (c *clerk) handle(ctx context.Context, batch []bus.Message) (err error) {
	work := c.tracer.Process(events.PaymentGroup)
	defer func() { work.End(err) }()
	start := time.Now()
	orders := make([]events.Event, 0, len(batch))
	var cancels []events.Event
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
		case e.Type != events.InventoryReserved && e.Type != events.OrderCancelled:
			ignored++
		default:
			e.Traceparent = work.Take(telemetry.Delivery{
				Topic: m.Topic, Partition: m.Partition, Offset: m.Offset, Traceparent: m.Header(bus.Traceparent),
				Event: e.Type, OrderID: e.OrderID,
			})
			if e.Type == events.OrderCancelled {
				cancels = append(cancels, e)
			} else {
				orders = append(orders, e)
			}
		}
	}
	var out tally
	cancelledAgain, refunds := 0, 0
	if len(cancels) > 0 {
		if cancelledAgain, err = c.ledger.cancel(ctx, cancels, lever.Now()); err != nil {
			return err
		}
	}
	if len(orders) > 0 {
		if out, err = c.charge(ctx, orders); err != nil {
			return err
		}
	}
	if suspects := append(orderIDs(cancels), slices.Collect(maps.Keys(out.cancelled))...); len(suspects) > 0 {
		if refunds, err = c.refund(ctx, suspects); err != nil {
			return err
		}
	}
	for outcome, n := range map[string]int{
		"captured": out.captured, "declined": out.declined, "repeated": out.repeated + cancelledAgain, "refunded": refunds,
		"ignored": ignored, "unreadable": unreadable,
	} {
		c.metrics.orders.WithLabelValues(outcome).Add(float64(n))
	}
	c.metrics.batch.Observe(time.Since(start).Seconds())
	return nil
}

// charge charges orders and writes down what became of them. What was
// cancelled before is not charged, if it was not already, by whoever had the
// order before and died; what is cancelled while it is, the books know in the
// end.
func (c *clerk) charge(ctx context.Context, orders []events.Event) (tally, error) {
	off, err := cancelled(c.ledger.committed(ctx), orders)
	if err != nil {
		return tally{}, err
	}
	if err := beforeCharge.Hit(ctx); err != nil {
		return tally{}, err
	}
	outcomes, err := c.cashier.charge(ctx, orders, off)
	if err != nil {
		return tally{}, err
	}
	if err := afterCharge.Hit(ctx); err != nil {
		return tally{}, err
	}
	return c.ledger.record(ctx, orders, outcomes, lever.Now())
}

// refund gives back what is due of orders that were cancelled. The money
// comes before the books here too: killed in between, the same orders are due
// again, and the provider knows their keys.
func (c *clerk) refund(ctx context.Context, ids []string) (int, error) {
	due, err := c.ledger.due(ctx, ids)
	if err != nil || len(due) == 0 {
		return 0, err
	}
	if err := c.cashier.refund(ctx, due); err != nil {
		return 0, err
	}
	return c.ledger.refund(ctx, due, lever.Now())
}

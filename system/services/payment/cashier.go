package payment

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/ordbench/ordbench/system/events"
	"github.com/ordbench/ordbench/system/lever"
)

// cashier charges orders at the provider.
type cashier struct {
	provider *provider
	inbox    bool // a redelivered order is known by its key
	hold     bool // the money is set aside; what becomes of it is decided later
	timeouts counter
}

// counter is a prometheus.Counter, or what a test counts with.
type counter interface{ Add(float64) }

// charge returns what became of each order's money. It comes back only with
// certainty: a charge without an answer is asked for under its key, and only
// what the provider has never seen is charged again, under the same key. What
// is charged blindly again, with a new key, is what customers find twice on
// their bill.
//
// The key of an order that is off is made void: what the provider has not
// seen under it by then it never will, and the outcome is calledOff.
func (c *cashier) charge(ctx context.Context, orders []events.Event, off map[string]bool) ([]outcome, error) {
	outcomes, err := c.settle(ctx, orders, func(o events.Event) purpose {
		if off[o.OrderID] {
			return void
		}
		if c.hold {
			return setAside
		}
		return pay
	})
	for i := range outcomes {
		if outcomes[i] == declined && off[orders[i].OrderID] {
			outcomes[i] = calledOff
		}
	}
	return outcomes, err
}

// refund gives back what was charged for orders. Like charge it comes back
// only with certainty.
func (c *cashier) refund(ctx context.Context, orders []events.Event) error {
	_, err := c.settle(ctx, orders, func(events.Event) purpose { return giveBack })
	return err
}

func (c *cashier) settle(ctx context.Context, orders []events.Event, why func(events.Event) purpose) ([]outcome, error) {
	charges := make([]charge, len(orders))
	open := make([]int, len(orders)) // those without a certain outcome
	for i, o := range orders {
		key, err := c.key(o)
		if err != nil {
			return nil, err
		}
		what := why(o)
		if what == giveBack {
			key += refundSuffix
		}
		charges[i] = charge{key: key, purpose: what, orderID: o.OrderID, userID: o.UserID, amount: o.Total}
		open[i] = i
	}
	outcomes := make([]outcome, len(orders))
	for round := 0; len(open) > 0; round++ {
		asked := make([]charge, len(open))
		for i, at := range open {
			asked[i] = charges[at]
		}
		answers, err := c.provider.charge(ctx, asked, round, lever.Now)
		if err != nil {
			return nil, err
		}
		unsure, silent := open[:0:0], asked[:0:0]
		for i, at := range open {
			outcomes[at] = answers[i]
			if answers[i] == unheard {
				unsure, silent = append(unsure, at), append(silent, asked[i])
			}
		}
		if open = open[:0]; len(unsure) == 0 {
			break
		}
		c.timeouts.Add(float64(len(unsure)))
		known, err := c.provider.find(ctx, silent)
		if err != nil {
			return nil, err
		}
		for _, at := range unsure {
			if outcomes[at] = known[charges[at].key]; outcomes[at] == unheard {
				open = append(open, at)
			}
		}
	}
	return outcomes, nil
}

// refundSuffix makes the key of a charge that of its refund.
const refundSuffix = "/refund"

// key is what the provider knows the charge by: the order, whoever asks and
// however often. Without an inbox nothing remembers that an order was seen,
// and each delivery makes a charge of its own, as it does in every service
// that draws its keys when it sends.
func (c *cashier) key(o events.Event) (string, error) {
	if c.inbox || c.hold { // what is held must be found again
		return o.OrderID, nil
	}
	id, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("make a key: %w", err)
	}
	return id.String(), nil
}

package payment

import (
	"context"
	"fmt"
	"time"

	"github.com/ordbench/ordbench/system/direct"
	"github.com/ordbench/ordbench/system/events"
)

// desk serves those who tell of an order in person and wait.
type desk struct {
	cashier *cashier
	ledger  *ledger
}

func (c *desk) handle(ctx context.Context, e events.Event) ([]byte, error) {
	if e.Type != events.InventoryReserved {
		return nil, fmt.Errorf("%s is not for the payment", e.Type)
	}
	orders := []events.Event{e}
	outcomes, err := c.cashier.charge(ctx, orders, nil)
	if err != nil {
		return nil, err
	}
	out, err := c.ledger.record(ctx, orders, outcomes, time.Now())
	if err == nil && out.repeated > 0 {
		err = direct.ErrRepeated
	}
	return out.answer, err
}

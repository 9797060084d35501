package inventory

import (
	"context"
	"fmt"
	"time"

	"github.com/ordbench/ordbench/system/direct"
	"github.com/ordbench/ordbench/system/events"
)

// desk serves those who tell of an event in person and wait.
type desk struct {
	stock *stock
	work  time.Duration
	turn  chan struct{} // a replica does one thing at a time, here as with a topic
}

func newDesk(s *stock, work time.Duration) *desk {
	return &desk{stock: s, work: work, turn: make(chan struct{}, 1)}
}

func (c *desk) handle(ctx context.Context, e events.Event) ([]byte, error) {
	switch e.Type {
	case events.OrderCreated:
		if err := c.labour(ctx); err != nil {
			return nil, err
		}
	case events.PaymentCaptured, events.PaymentDeclined:
	default:
		return nil, fmt.Errorf("%s is not for the inventory", e.Type)
	}
	out, err := c.stock.apply(ctx, []events.Event{e}, time.Now())
	if err == nil && out.repeated > 0 {
		err = direct.ErrRepeated
	}
	return out.answer, err
}

// labour is what an order costs beside the database.
func (c *desk) labour(ctx context.Context) error {
	c.turn <- struct{}{}
	defer func() { <-c.turn }()
	return pause(ctx, c.work)
}

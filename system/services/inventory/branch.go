package inventory

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ordbench/ordbench/system/direct"
	"github.com/ordbench/ordbench/system/events"
	"github.com/ordbench/ordbench/system/store"
)

// branch is the inventory's part in transactions over several services: stock
// that is promised to be sold. From the vote to the end of the transaction its
// articles are locked, and every other order that wants one of them waits.
type branch struct {
	*desk
	parts *store.Branches
}

// lackError is why there is no promise.
type lackError struct {
	item   events.Item
	reason string
}

func (e *lackError) Error() string { return e.reason }

// Prepare promises to sell the stock of an order. What is not there is refused
// and written down, for which no transaction is needed: a no is final.
func (b *branch) Prepare(ctx context.Context, o events.Event) (direct.Vote, error) {
	if err := b.labour(ctx); err != nil {
		return direct.Vote{}, err
	}
	err := b.parts.Prepare(ctx, o.OrderID, func(tx *store.Tx) error {
		if err := b.stock.sellNow(tx, o, time.Now()); err != nil {
			return err
		}
		return beforePrepare.Hit(ctx)
	})
	var lack *lackError
	if errors.As(err, &lack) {
		refuse := func(tx *store.Tx) error { return move(tx, o, lack.item.SKU, reject, 0, time.Now()) }
		if err := b.stock.db.Write(ctx, refuse); err != nil {
			return direct.Vote{}, fmt.Errorf("refuse order %s: %w", o.OrderID, err)
		}
		return direct.Vote{Reason: lack.reason}, nil
	}
	if err == nil {
		err = afterPrepare.Hit(ctx)
	}
	return direct.Vote{Yes: err == nil}, err
}

// sellNow takes an order from what is available to what is sold, in one step:
// it is seen by nobody before the transaction has come to its end, and by
// everybody from then on.
func (s *stock) sellNow(tx *store.Tx, o events.Event, now time.Time) error {
	if s.inbox {
		first, err := tx.FirstTimes(events.InventoryGroup, []string{o.EventID})
		if err != nil {
			return err
		}
		if !first[0] {
			return direct.ErrRepeated
		}
	}
	shelf, err := reach(tx, []events.Event{o})
	if err != nil {
		return err
	}
	if item, lack := shelf.reserve(o.Items); lack != "" {
		return &lackError{item, lack}
	}
	for _, item := range o.Items {
		if err := move(tx, o, item.SKU, reserve, item.Quantity, now); err != nil {
			return err
		}
	}
	if err := settle(tx, o, sell, shelf.sell, now); err != nil {
		return err
	}
	return shelf.write(tx)
}

// Commit sells what was promised.
func (b *branch) Commit(ctx context.Context, orderID string) error {
	if err := beforeOutcome.Hit(ctx); err != nil {
		return err
	}
	if err := b.parts.Commit(ctx, orderID); err != nil {
		return err
	}
	return afterOutcome.Hit(ctx)
}

// Abort takes the promise back.
func (b *branch) Abort(ctx context.Context, orderID string) error {
	if err := beforeAbort.Hit(ctx); err != nil {
		return err
	}
	if err := b.parts.Rollback(ctx, orderID); err != nil {
		return err
	}
	return afterAbort.Hit(ctx)
}

// InDoubt lists what is promised.
func (b *branch) InDoubt(ctx context.Context) (map[string]time.Time, error) {
	return b.parts.InDoubt(ctx)
}

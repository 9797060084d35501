package payment

import (
	"context"
	"time"

	"github.com/ordbench/ordbench/system/direct"
	"github.com/ordbench/ordbench/system/events"
	"github.com/ordbench/ordbench/system/store"
)

// branch is the payment's part in transactions over several services. The
// provider is another company and can't be in one: its vote is to hold the
// money, and what follows from the decision is to capture it or to let it go.
// The entries of the ledger are promised in the database meanwhile, and that
// promise ends after the provider has done its part: so it is also the note
// that the provider must still be told.
type branch struct {
	cashier *cashier
	ledger  *ledger
	parts   *store.Branches
}

// Prepare has the money held, and promises both sides of its transaction in
// the ledger. A refusal of the provider is final, and written down.
func (b *branch) Prepare(ctx context.Context, o events.Event) (direct.Vote, error) {
	outcomes, err := b.cashier.charge(ctx, []events.Event{o}, nil)
	if err == nil {
		err = afterAuthorise.Hit(ctx)
	}
	if err != nil {
		return direct.Vote{}, err
	}
	switch outcomes[0] {
	case held:
	case declined:
		_, err := b.ledger.record(ctx, []events.Event{o}, outcomes, time.Now())
		return direct.Vote{Reason: declinedReason}, err
	default:
		return direct.Vote{Reason: "the charge was " + string(outcomes[0]) + " before"}, nil
	}
	err = b.parts.Prepare(ctx, o.OrderID, func(tx *store.Tx) error {
		if b.ledger.inbox {
			first, err := tx.FirstTimes(events.PaymentGroup, []string{o.EventID})
			if err != nil {
				return err
			}
			if !first[0] {
				return direct.ErrRepeated
			}
		}
		_, err := b.ledger.enter(tx, o, captured, time.Now())
		return err
	})
	if err == nil {
		err = afterPrepare.Hit(ctx)
	}
	return direct.Vote{Yes: err == nil}, err
}

// Commit has the money captured, and then the ledger say so.
func (b *branch) Commit(ctx context.Context, orderID string) error {
	if err := beforeOutcome.Hit(ctx); err != nil {
		return err
	}
	if err := b.cashier.provider.capture(ctx, orderID); err != nil {
		return err
	}
	if err := afterCapture.Hit(ctx); err != nil {
		return err
	}
	if err := b.parts.Commit(ctx, orderID); err != nil {
		return err
	}
	return afterOutcome.Hit(ctx)
}

// Abort lets go of the money, and then of the promise.
func (b *branch) Abort(ctx context.Context, orderID string) error {
	if err := beforeAbort.Hit(ctx); err != nil {
		return err
	}
	if err := b.cashier.provider.void(ctx, orderID); err != nil {
		return err
	}
	if err := afterVoid.Hit(ctx); err != nil {
		return err
	}
	return b.parts.Rollback(ctx, orderID)
}

// InDoubt lists what is promised.
func (b *branch) InDoubt(ctx context.Context) (map[string]time.Time, error) {
	return b.parts.InDoubt(ctx)
}

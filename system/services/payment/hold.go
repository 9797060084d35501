package payment

import (
	"context"
	"fmt"

	"github.com/ordbench/ordbench/system/lever"
	"github.com/ordbench/ordbench/system/store"
)

const (
	captureHold = `UPDATE provider_charges SET outcome = 'captured' WHERE key = ? AND outcome IN ('held', 'captured')`
	// What the provider has not heard of yet is voided too, so that a charge
	// that is still on its way finds the door closed.
	voidHold = `INSERT INTO provider_charges (key, order_id, amount_cents, outcome, at) VALUES (?, ?, 0, 'voided', ?)
		ON CONFLICT (key) DO UPDATE SET outcome = 'voided' WHERE provider_charges.outcome = 'held'`
)

// capture takes the money that is held under a key. It may be asked for again
// and again. A real provider lets go of what is held for long, and could then
// refuse; this one does not.
func (p *provider) capture(ctx context.Context, key string) error {
	return p.end(ctx, key, func(tx *store.Tx) error {
		res, err := tx.Exec(captureHold, key)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil {
			return err
		} else if n == 0 {
			return fmt.Errorf("nothing is held under %s", key)
		}
		return nil
	})
}

// void lets go of the money that is held under a key, which is the order's. It
// may be asked for again and again, and of what was never held.
func (p *provider) void(ctx context.Context, key string) error {
	return p.end(ctx, key, func(tx *store.Tx) error {
		_, err := tx.Exec(voidHold, key, key, lever.Now().UnixMicro())
		return err
	})
}

// end asks the provider to end a hold. While it answers nobody, it has not
// heard: who asks comes again.
func (p *provider) end(ctx context.Context, key string, do func(*store.Tx) error) error {
	took := p.cfg.Work
	if s := lever.SlowProvider.Acts(); s != nil {
		took += s.Delay
	}
	if lever.TimeoutProvider.Acts() != nil {
		took = patience * p.cfg.Work
	}
	if err := pause(ctx, took); err != nil {
		return err
	}
	if lever.TimeoutProvider.Acts() != nil {
		return fmt.Errorf("provider: no answer about %s", key)
	}
	if err := p.db.Write(ctx, do); err != nil {
		return fmt.Errorf("provider: end the hold of %s: %w", key, err)
	}
	return nil
}

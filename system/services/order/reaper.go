package order

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ordbench/ordbench/system/store"
)

const (
	reapBatch = 256         // orders per transaction
	reapPause = time.Second // between looks, at most
)

const (
	// Ids are in the order of time, so the first is the oldest, and the
	// index of what is pending finds it at once.
	selectOldest = `SELECT created_at FROM orders WHERE status = 'PENDING' ORDER BY id LIMIT 1`
	// The status is asked for twice: a server finds the rows first and waits
	// for each after that, and meanwhile one may have come to its end.
	parkStuck = `UPDATE orders SET status = 'PARKED', version = version + 1, updated_at = ?
		WHERE id IN (SELECT id FROM orders WHERE status = 'PENDING' AND created_at <= ? ORDER BY id LIMIT ?)
		AND status = 'PENDING'`
)

// reaper parks orders that have waited for longer than the limit, so that
// they stand out and somebody looks after them. It does not ask again: with
// the outbox the order was told of for certain, so that the answer is behind
// somewhere and comes late rather than never, and to tell of it a second time
// is safe only as long as every consumer has its inbox. Nor does it cancel:
// the money may be on its way. Whatever answer comes later ends the order
// from where it is parked.
type reaper struct {
	book   *book
	limit  time.Duration
	parked counter
	log    *slog.Logger
}

// run looks for stuck orders until ctx ends. Of all replicas one does; who
// loses the lease waits for it again.
func (r *reaper) run(ctx context.Context) error {
	return r.book.leased(ctx, "reaper", r.watch)
}

// watch looks for stuck orders until ctx ends.
func (r *reaper) watch(ctx context.Context) {
	look := time.NewTicker(min(reapPause, max(r.limit/4, time.Millisecond)))
	defer look.Stop()
	for {
		select {
		case now := <-look.C:
			n, err := r.reap(ctx, now)
			if err != nil && ctx.Err() == nil {
				r.log.Error("park stuck orders", "error", err)
			}
			if n > 0 {
				r.parked.Add(float64(n))
				r.log.Warn("orders are stuck: parked", "orders", n, "after", r.limit.String())
			}
		case <-ctx.Done():
			return
		}
	}
}

// reap parks what is older than the limit and says how many orders that were.
func (r *reaper) reap(ctx context.Context, now time.Time) (parked int64, err error) {
	stuck := now.Add(-r.limit).UnixMicro()
	for {
		var oldest int64
		err := r.book.db.QueryRow(ctx, selectOldest).Scan(&oldest)
		if errors.Is(err, sql.ErrNoRows) || err == nil && oldest > stuck {
			return parked, nil
		}
		if err != nil {
			return parked, fmt.Errorf("find stuck orders: %w", err)
		}
		var n int64
		err = r.book.db.Write(ctx, func(tx *store.Tx) error {
			res, err := tx.Exec(parkStuck, now.UnixMicro(), stuck, reapBatch)
			if err != nil {
				return err
			}
			n, err = res.RowsAffected()
			return err
		})
		if err != nil {
			return parked, fmt.Errorf("park stuck orders: %w", err)
		}
		if parked += n; n == 0 { // somebody ended it in between
			return parked, nil
		}
	}
}

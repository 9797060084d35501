package order

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ordbench/ordbench/system/events"
)

const (
	recoverBatch  = 256 // transactions of a kind in one look
	recoverAtOnce = 8
	recoverPause  = 250 * time.Millisecond // between looks
)

// recovery brings to its end what a coordinator that died, or did not reach
// somebody, has left: orders that nobody has decided about are called off,
// decisions are told to who has not heard, and what a participant has
// prepared and was never asked about again is ended as the order did. While no
// order service runs, all of it stays locked: this is what blocks in two-phase
// commit.
type recovery struct {
	*coordinator
	ended counter
}

// run looks until ctx ends. Of all replicas one does; that another's decision
// comes first is well, whoever is second learns it.
func (r *recovery) run(ctx context.Context) error {
	return r.book.leased(ctx, "recovery", r.watch)
}

func (r *recovery) watch(ctx context.Context) {
	look := time.NewTicker(recoverPause)
	defer look.Stop()
	for {
		select {
		case now := <-look.C:
			if err := r.look(ctx, now); err != nil && ctx.Err() == nil {
				r.log.Warn("transactions are not brought to their end yet", "error", err)
			}
		case <-ctx.Done():
			return
		}
	}
}

// look does all that there is to do now. What a living coordinator has in hand
// is younger than the time that it may take, and left to it.
func (r *recovery) look(ctx context.Context, now time.Time) error {
	before := now.Add(-2 * r.timeout)
	undecided, err := r.book.undecided(ctx, before, recoverBatch)
	if err != nil {
		return err
	}
	unsettled, err := r.book.unsettled(ctx, before, recoverBatch)
	if err != nil {
		return err
	}
	var problems []error
	problems = append(problems, r.each(undecided, func(end events.Event) error {
		decided, err := r.book.decide(ctx, end, time.Now())
		if err != nil {
			return err
		}
		return r.settle(ctx, decided)
	}))
	problems = append(problems, r.each(unsettled, func(decided events.Event) error { return r.settle(ctx, decided) }))
	for _, p := range r.participants {
		problems = append(problems, r.orphans(ctx, p, before))
	}
	return errors.Join(problems...)
}

// each does something with each of many at the same time, and counts what went
// well.
func (r *recovery) each(list []events.Event, do func(events.Event) error) error {
	var all errgroup.Group
	all.SetLimit(recoverAtOnce)
	for _, e := range list {
		all.Go(func() error {
			err := do(e)
			if err == nil {
				r.ended.Add(1)
				r.log.Info("transaction recovered", "order_id", e.OrderID)
			}
			return err
		})
	}
	return all.Wait()
}

// orphans ends what a participant has prepared since before a time, if it is
// decided: a request to prepare that came late, after all others were told.
func (r *recovery) orphans(ctx context.Context, p participant, before time.Time) error {
	prepared, err := p.InDoubt(ctx)
	if err != nil {
		return err
	}
	var decided []events.Event
	for id, since := range prepared {
		if since.After(before) {
			continue
		}
		end, err := r.book.decision(ctx, id)
		if errors.Is(err, sql.ErrNoRows) {
			continue // its turn comes
		}
		if err != nil {
			return err
		}
		decided = append(decided, end)
	}
	return r.each(decided, func(end events.Event) error { return p.end(ctx, end) })
}

package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// healLimit is how long Heal may take for everything.
const healLimit = 90 * time.Second

// readier is what can wait for a replica; Heal does where it is there.
type readier interface {
	// AwaitReady returns when the replica is ready.
	AwaitReady(ctx context.Context, replica string) (at time.Time, detail string, err error)
}

// Heal ends every fault that stands: what is paused runs, what is held down
// starts, links let through, and all that was hit is ready when it returns. It
// runs to its end even if ctx is cancelled. The records are those of the
// faults that stood; the error names what did not come back.
func (e *Engine) Heal(ctx context.Context) ([]Record, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), healLimit)
	defer cancel()
	var healed []*fault
	for _, f := range e.all() {
		e.mu.Lock()
		stood := len(f.stands) > 0
		f.end()
		e.mu.Unlock()
		if stood {
			healed = append(healed, f)
		}
	}
	var errs []error
	for _, f := range healed {
		select {
		case <-f.done:
			errs = append(errs, e.insist(ctx, f))
		case <-ctx.Done():
			errs = append(errs, fmt.Errorf("heal %s: %w", f.record.Spec.Name, ctx.Err()))
		}
	}
	errs = append(errs, e.awaitAll(ctx, healed))
	e.mu.Lock()
	defer e.mu.Unlock()
	records := make([]Record, len(healed))
	for i, f := range healed {
		records[i] = f.copy()
	}
	return records, errors.Join(errs...)
}

// Wind ends every fault without waiting for what they hit: the system is
// about to go down.
func (e *Engine) Wind(ctx context.Context) {
	for _, f := range e.all() {
		e.mu.Lock()
		f.end()
		e.mu.Unlock()
	}
	for _, f := range e.all() {
		select {
		case <-f.done:
		case <-ctx.Done():
			return
		}
	}
}

// Halt ends the chaos: what stands is undone, and nothing is injected any
// more. The reason is that of the faults which are still to come.
func (e *Engine) Halt(ctx context.Context, reason string) ([]Record, error) {
	e.mu.Lock()
	if e.halted == "" {
		e.halted = reason
	}
	e.mu.Unlock()
	return e.Heal(ctx)
}

// Halted says why the chaos was ended, "" if it was not.
func (e *Engine) Halted() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.halted
}

// insist undoes once more what could not be undone at the first attempt.
func (e *Engine) insist(ctx context.Context, f *fault) error {
	e.mu.Lock()
	standing := f.standing()
	e.mu.Unlock()
	if len(standing) == 0 {
		return nil
	}
	errs := make([]error, len(standing))
	var all sync.WaitGroup
	for i, place := range standing {
		all.Go(func() { errs[i] = e.leave(ctx, f, place, f.act.undo) })
	}
	all.Wait()
	e.mu.Lock()
	f.settle()
	r := f.copy()
	e.mu.Unlock()
	if r.Reverted {
		e.journal.end(r)
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("heal %s: %w", r.Spec.Name, err)
	}
	return nil
}

// awaitAll waits until every replica that the faults hit is ready: a resumed
// process runs at once, but serves only when its connections are back.
func (e *Engine) awaitAll(ctx context.Context, faults []*fault) error {
	stack, ok := e.system.(readier)
	if !ok {
		return nil
	}
	var replicas []string
	for _, f := range faults {
		if d, _ := Find(f.record.Spec.Fault); d.on == onReplicas && f.act.places == nil {
			replicas = append(replicas, f.record.Replicas...)
		}
	}
	slices.Sort(replicas)
	replicas = slices.Compact(replicas)
	errs := make([]error, len(replicas))
	var all sync.WaitGroup
	for i, replica := range replicas {
		all.Go(func() {
			_, _, err := stack.AwaitReady(ctx, replica)
			errs[i] = notGone(err)
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

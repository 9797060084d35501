package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// healLimit is how long Heal may take for everything.
const healLimit = 90 * time.Second

// Heal ends every fault that stands: what is paused runs, what is held down
// starts, and all that was hit is ready when it returns. It runs to its end
// even if ctx is cancelled. The records are those of the faults that stood;
// the error names the replicas that did not come back.
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

// insist undoes once more what could not be undone at the first attempt.
func (e *Engine) insist(ctx context.Context, f *fault) error {
	e.mu.Lock()
	standing := f.standing()
	e.mu.Unlock()
	if len(standing) == 0 {
		return nil
	}
	undo := e.processes.Restart
	if f.record.Spec.Fault == "pause" {
		undo = e.processes.Resume
	}
	err := e.each(ctx, f, standing, undo, f.over)
	e.mu.Lock()
	defer e.mu.Unlock()
	f.settle()
	if err != nil {
		return fmt.Errorf("heal %s: %w", f.record.Spec.Name, err)
	}
	return nil
}

// awaitAll waits until every replica that the faults hit is ready: a resumed
// process runs at once, but serves only when its connections are back.
func (e *Engine) awaitAll(ctx context.Context, faults []*fault) error {
	var replicas []string
	for _, f := range faults {
		replicas = append(replicas, f.record.Replicas...)
	}
	slices.Sort(replicas)
	witness := &fault{stands: map[string]bool{}}
	return e.each(ctx, witness, slices.Compact(replicas), e.processes.AwaitReady, func(string, time.Time) {})
}

// The methods below are called under the engine's lock.

// end asks the fault to end now. It may be asked twice.
func (f *fault) end() { f.lifted.Do(func() { close(f.lift) }) }

// settle writes down whether the fault is undone, and since when.
func (f *fault) settle() {
	if f.record.Reverted = len(f.stands) == 0; f.record.Reverted {
		f.record.Ended = f.last
	}
}

// standing names the replicas on which the fault stands, sorted.
func (f *fault) standing() []string {
	standing := make([]string, 0, len(f.stands))
	for replica := range f.stands {
		standing = append(standing, replica)
	}
	slices.Sort(standing)
	return standing
}

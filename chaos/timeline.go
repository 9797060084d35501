package chaos

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// Timed is a fault with its place on a timeline.
type Timed struct {
	At   time.Duration
	Spec Spec
}

// Play injects each fault at its time after start, late ones at once, and
// returns when each has shown its effect or has not. When ctx ends, the
// faults that were not yet due are recorded as not injected. Faults of the
// same instant happen at once, in no order.
func (e *Engine) Play(ctx context.Context, start time.Time, timeline []Timed) {
	timeline = slices.Clone(timeline)
	slices.SortStableFunc(timeline, func(a, b Timed) int { return cmp.Compare(a.At, b.At) })
	var wg sync.WaitGroup
	defer wg.Wait()
	for i, t := range timeline {
		due := start.Add(t.At)
		if err := sleepUntil(ctx, due); err != nil {
			for _, never := range timeline[i:] {
				e.miss(never.Spec, start.Add(never.At), errors.New("not injected: the run ended before it was due"))
			}
			return
		}
		f, err := e.begin(t.Spec, due)
		if err != nil {
			e.miss(t.Spec, due, err)
			continue
		}
		wg.Go(func() { _ = e.strike(ctx, f) }) // its record says how it went
	}
}

// miss records a fault that could not be injected. One that was drawn is
// left out where another fault has taken its target away, or where its runtime
// has no such fault; one that was planned is missing.
func (e *Engine) miss(spec Spec, planned time.Time, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	f := e.open(spec, planned, []string{})
	f.end()
	close(f.done)
	var usage *UsageError
	if spec.Source == "nemesis" && e.halted == "" && errors.As(err, &usage) && (usage.Field == "target" || usage.elsewhere) {
		f.record.Skipped = err.Error()
		return
	}
	f.fail(err)
	e.log.Warn("fault not injected", "name", f.record.Spec.Name, "error", err)
}

func sleepUntil(ctx context.Context, due time.Time) error {
	timer := time.NewTimer(time.Until(due))
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

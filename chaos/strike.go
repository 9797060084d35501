package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"
)

// NoProof begins the error of a fault that stood and was run into by nobody.
const NoProof = "no proof of its effect: "

// strike makes the effect of a fault, and lets it live until its end.
func (e *Engine) strike(ctx context.Context, f *fault) error {
	if err := e.journal.begin(f.record); err != nil {
		close(f.done)
		e.mu.Lock()
		defer e.mu.Unlock()
		f.fail(err)
		return err
	}
	limited, cancel := context.WithTimeout(ctx, proofLimit)
	defer cancel()
	// It stands before it has an effect, so that what was hit without a
	// witness is undone too.
	e.mu.Lock()
	for _, place := range f.record.Replicas {
		f.stands[place] = f.act.undo != nil
		if f.act.undo == nil {
			delete(f.stands, place)
		}
	}
	e.mu.Unlock()
	err := e.each(limited, f, f.record.Replicas, f.act.apply, func(place string, s Sight) {
		f.started(s)
		if !s.Armed {
			f.show(place)
		}
		if f.act.undo == nil {
			f.record.Ended, f.record.Reverted = latest(f.record.Ended, s.At), true
		}
	})
	e.mu.Lock()
	if err == nil && f.record.Started.IsZero() {
		err = fmt.Errorf("%s %s: nothing was left to hit", f.record.Spec.Fault, f.record.Spec.Target)
	}
	if err != nil {
		f.record.Effective = false
		if by := e.disturber(f); by != "" && f.record.Spec.Source == "nemesis" {
			f.record.Skipped = fmt.Sprintf("%s was in its way: %v", by, err)
		} else {
			f.fail(err)
		}
	}
	e.log.Info("fault", "name", f.record.Spec.Name, "effective", f.record.Effective, "places", f.record.Replicas, "error", f.record.Error)
	e.mu.Unlock()
	if f.act.undo == nil {
		e.journal.end(f.record)
		close(f.done)
		return err
	}
	go e.live(context.WithoutCancel(ctx), f)
	return err
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// live looks after a fault until its end, and undoes it.
func (e *Engine) live(ctx context.Context, f *fault) {
	defer close(f.done)
	var over <-chan time.Time
	if !f.record.Endless {
		// From when it was there, not from when that was proven: a probe
		// through a link of 200 ms takes them too.
		e.mu.Lock()
		from := f.record.Started
		e.mu.Unlock()
		if from.IsZero() {
			from = time.Now()
		}
		timer := time.NewTimer(time.Until(from.Add(f.record.Spec.For())))
		defer timer.Stop()
		over = timer.C
	}
	var tick <-chan time.Time
	if f.act.look != nil {
		ticker := time.NewTicker(lookEvery)
		defer ticker.Stop()
		tick = ticker.C
	}
	undo := f.act.undo
	for standing := true; standing; {
		select {
		case <-tick:
			e.look(ctx, f, false)
		case <-over:
			standing = false
			if f.act.over != nil {
				undo = f.act.over
			}
		case <-f.lift:
			standing = false
		}
	}
	e.look(ctx, f, true)
	e.revert(ctx, f, undo)
	e.mu.Lock()
	defer e.mu.Unlock()
	if !f.record.Effective && f.record.Error == "" && f.record.Skipped == "" {
		why := "nothing ran into it while it stood"
		if f.unseen != nil {
			why = f.unseen.Error()
		}
		if f.record.Spec.Source == "nemesis" {
			// Another fault kept everything away from it: it was drawn, and
			// not asked for.
			f.record.Skipped = "it stood, and " + why
			return
		}
		f.fail(errors.New(NoProof + why))
	}
}

// look renews a fault wherever it stands and takes down what it has done:
// what proves it, and at the end what came of it.
func (e *Engine) look(ctx context.Context, f *fault, last bool) {
	if f.act.look == nil || last && f.act.renews {
		return
	}
	f.looking.Lock()
	defer f.looking.Unlock()
	ctx, cancel := context.WithTimeout(ctx, backLimit)
	defer cancel()
	e.mu.Lock()
	standing := f.standing()
	e.mu.Unlock()
	var all sync.WaitGroup
	for _, place := range standing {
		all.Go(func() {
			s, err := f.act.look(ctx, place)
			e.mu.Lock()
			defer e.mu.Unlock()
			if err != nil {
				f.unseen = err
				return
			}
			news := s.Detail != "" && s.Detail != f.said[place].Detail
			if news && (s.Again || !s.Armed && (!f.proven[place] || last)) {
				f.prove(place, s)
				f.said[place] = s
			}
			if !s.Armed && s.Detail != "" {
				f.show(place)
			}
		})
	}
	all.Wait()
}

// revert undoes a fault wherever it stands and closes its record.
func (e *Engine) revert(ctx context.Context, f *fault, undo func(context.Context, string) (Sight, error)) {
	ctx, cancel := context.WithTimeout(ctx, backLimit)
	defer cancel()
	e.mu.Lock()
	standing := f.standing()
	e.mu.Unlock()
	err := e.each(ctx, f, standing, undo, f.over)
	e.mu.Lock()
	defer e.mu.Unlock()
	if err != nil {
		f.fail(err)
	}
	f.settle()
	if f.record.Reverted {
		e.journal.end(f.record)
	}
	e.log.Info("fault over", "name", f.record.Spec.Name, "reverted", f.record.Reverted, "error", f.record.Error)
}

// each does one thing at several places at once. seen is called under the lock
// for each that showed it; what was scaled away is passed over.
func (e *Engine) each(ctx context.Context, f *fault, places []string, do func(context.Context, string) (Sight, error), seen func(string, Sight)) error {
	errs := make([]error, len(places))
	var all sync.WaitGroup
	for i, place := range places {
		all.Go(func() {
			s, err := do(ctx, place)
			if s.At.IsZero() {
				s.At = time.Now()
			}
			e.mu.Lock()
			defer e.mu.Unlock()
			switch {
			case errors.Is(err, os.ErrProcessDone):
				delete(f.stands, place)
			case err != nil:
				errs[i] = err
			default:
				if s.Detail != "" {
					f.prove(place, s)
					f.said[place] = s
				}
				seen(place, s)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// disturber names a fault that ends the process of a place, stood on one of
// those of f, and was not over when f was begun: what can't be made on a
// process that is gone is no news about f. The caller holds the lock.
func (e *Engine) disturber(f *fault) string {
	for _, other := range e.faults {
		r := other.record
		d, _ := Find(r.Spec.Fault)
		if other == f || d.Family != ProcessFamily || !r.Ended.IsZero() && r.Ended.Before(f.record.Planned) {
			continue
		}
		if slices.ContainsFunc(f.record.Replicas, func(place string) bool { return slices.Contains(r.Replicas, place) }) {
			return r.Spec.Name
		}
	}
	return ""
}

// The methods below are called under the engine's lock.

func (f *fault) prove(place string, s Sight) {
	at := s.At
	if at.IsZero() {
		at = time.Now()
	}
	f.record.Proof = append(f.record.Proof, fmt.Sprintf("%s %s: %s", at.UTC().Format("15:04:05.000"), place, s.Detail))
}

func (f *fault) fail(err error) {
	if f.record.Error != "" {
		f.record.Error += "; "
	}
	f.record.Error += err.Error()
}

// show takes down that the effect was seen at a place.
func (f *fault) show(place string) {
	f.proven[place] = true
	if !f.record.Effective && f.record.Error == "" && f.record.Skipped == "" {
		f.record.Effective = true
		close(f.shown)
	}
}

// started keeps the first moment of the effect.
func (f *fault) started(s Sight) {
	at := s.At
	if !s.Since.IsZero() {
		at = s.Since
	}
	if f.record.Started.IsZero() || at.Before(f.record.Started) {
		f.record.Started = at
	}
}

// over takes a place off the fault; settle ends it when it was the last.
func (f *fault) over(place string, s Sight) {
	delete(f.stands, place)
	f.last = latest(f.last, s.At)
}

// settle writes down whether the fault is undone, and since when.
func (f *fault) settle() {
	if f.record.Reverted = len(f.stands) == 0; f.record.Reverted {
		f.record.Ended = f.last
		if f.last.IsZero() {
			f.record.Ended = time.Now() // all of its places were scaled away
		}
	}
}

// end asks the fault to end now. It may be asked twice.
func (f *fault) end() { f.lifted.Do(func() { close(f.lift) }) }

// standing names the places where the fault stands, sorted.
func (f *fault) standing() []string {
	standing := make([]string, 0, len(f.stands))
	for place := range f.stands {
		standing = append(standing, place)
	}
	slices.Sort(standing)
	return standing
}

func (f *fault) copy() Record {
	r := f.record
	r.Replicas, r.Proof = slices.Clone(r.Replicas), slices.Clone(r.Proof)
	return r
}

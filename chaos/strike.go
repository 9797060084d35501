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

// strike makes the effect of a fault, and lets it live until its end. Each of
// its places has a life of its own: one that hangs, or is away, holds up none
// of the others, and no other fault. It returns when the fault was made and
// seen, or was not, wherever there was somebody to make it on.
func (e *Engine) strike(ctx context.Context, f *fault) error {
	if err := e.journal.begin(f.record); err != nil {
		e.mu.Lock()
		defer e.mu.Unlock()
		f.end()
		f.fail(err)
		close(f.done)
		return err
	}
	// It stands before it has an effect, so that what was hit without a
	// witness is undone too.
	e.mu.Lock()
	for _, place := range f.record.Replicas {
		if f.act.undo != nil {
			f.stands[place] = true
		}
	}
	e.mu.Unlock()
	var made, left sync.WaitGroup
	errs := make([]error, len(f.record.Replicas))
	for i, place := range f.record.Replicas {
		made.Add(1)
		left.Go(func() {
			came, err := e.inflict(ctx, f, place)
			errs[i] = err
			made.Done()
			if f.act.undo != nil {
				e.attend(context.WithoutCancel(ctx), f, place, came)
			}
		})
	}
	made.Wait()
	err := e.struck(f, errors.Join(errs...))
	if f.act.undo == nil {
		f.end()
		e.journal.end(f.record)
		close(f.done)
		return err
	}
	go func() {
		defer close(f.done)
		left.Wait()
		e.finish(f)
	}()
	return err
}

// inflict makes the fault at a place and sees it. came is false where it is
// held in place and its replica is away: it gets the fault as it comes back.
func (e *Engine) inflict(ctx context.Context, f *fault, place string) (came bool, err error) {
	s, err := e.apply(ctx, f, place)
	switch {
	case errors.Is(err, os.ErrProcessDone):
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(f.stands, place)
		return true, nil
	case err != nil:
		why := e.away(f, place)
		if why == "" || !f.act.held() {
			return true, err
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		f.unseen = err
		if _, noted := f.said[place]; !noted {
			f.note(place, saw("it is %s, and gets the fault as it comes back", why))
		}
		return false, nil
	}
	e.mu.Lock()
	f.started(s)
	if s.Detail != "" {
		f.note(place, s)
	}
	if !s.Armed {
		f.show(place)
	}
	if f.act.undo == nil {
		f.record.Ended, f.record.Reverted = latest(f.record.Ended, s.when()), true
	}
	e.mu.Unlock()
	if f.act.prove == nil {
		return true, nil
	}
	// What proves it takes its time, and ends with the fault.
	proving, cancel := context.WithTimeout(f.over, proofLimit)
	defer cancel()
	s, err = f.act.prove(proving, place)
	if err != nil && f.over.Err() == nil {
		return true, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err == nil && s.Detail != "" {
		f.note(place, s)
		f.show(place)
	}
	return true, nil
}

// apply makes the fault at a place where it was not ended meanwhile.
func (e *Engine) apply(ctx context.Context, f *fault, place string) (Sight, error) {
	f.turns[place].Lock()
	defer f.turns[place].Unlock()
	e.mu.Lock()
	ended := f.act.undo != nil && !f.stands[place]
	e.mu.Unlock()
	if ended {
		return Sight{}, os.ErrProcessDone
	}
	ctx, cancel := context.WithTimeout(ctx, proofLimit)
	defer cancel()
	return f.act.apply(ctx, place)
}

// struck writes down how the making of a fault went.
func (e *Engine) struck(f *fault, err error) error {
	e.mu.Lock()
	if err == nil && f.record.Started.IsZero() && len(f.stands) == 0 {
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
	r := f.copy()
	e.mu.Unlock()
	e.log.Info("fault", "name", r.Spec.Name, "effective", r.Effective, "places", r.Replicas, "error", r.Error)
	return err
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// attend looks after a fault at one place until its end, and undoes it there.
// What could not be made yet is made as soon as it can be.
func (e *Engine) attend(ctx context.Context, f *fault, place string, came bool) {
	var tick <-chan time.Time
	if f.act.look != nil {
		ticker := time.NewTicker(lookEvery)
		defer ticker.Stop()
		tick = ticker.C
	}
	for f.over.Err() == nil {
		select {
		case <-tick:
			if !came {
				var err error
				if came, err = e.inflict(f.over, f, place); err != nil {
					e.mu.Lock()
					f.unseen = err
					e.mu.Unlock()
				}
			} else {
				e.look(f.over, f, place)
			}
		case <-f.over.Done():
		}
	}
	undo := f.act.undo
	if f.act.over != nil && errors.Is(f.over.Err(), context.DeadlineExceeded) {
		undo = f.act.over
	}
	if err := e.leave(ctx, f, place, undo); err != nil {
		e.mu.Lock()
		defer e.mu.Unlock()
		f.fail(err)
	}
}

// look renews a fault at a place and takes down what it has done there.
func (e *Engine) look(ctx context.Context, f *fault, place string) {
	f.turns[place].Lock()
	defer f.turns[place].Unlock()
	e.mu.Lock()
	stands := f.stands[place]
	e.mu.Unlock()
	if !stands {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, backLimit)
	defer cancel()
	s, err := f.act.look(ctx, place)
	e.mu.Lock()
	defer e.mu.Unlock()
	if err != nil {
		f.unseen = err
		return
	}
	if s.Detail != "" && (s.Again || !s.Armed && !f.proven[place] && s.Detail != f.said[place]) {
		f.note(place, s)
	}
	if !s.Armed && s.Detail != "" {
		f.show(place)
	}
}

// leave undoes a fault at a place, again and again while its replica is away.
// What is inside a process that stands still has no effect, so the fault is
// over there from now on, and taken out of it when it runs again.
func (e *Engine) leave(ctx context.Context, f *fault, place string, undo func(context.Context, string) (Sight, error)) error {
	f.turns[place].Lock()
	defer f.turns[place].Unlock()
	ctx, cancel := context.WithTimeout(ctx, backLimit)
	defer cancel()
	e.mu.Lock()
	stands := f.stands[place]
	e.mu.Unlock()
	if !stands {
		return nil
	}
	asleep := f.act.inside && e.away(f, place) == stateOfPause
	if asleep {
		s := saw("it is %s and nothing of it runs; undone as it comes back", stateOfPause)
		e.mu.Lock()
		f.note(place, s)
		f.last = latest(f.last, s.At)
		e.mu.Unlock()
	}
	for why := ""; ; {
		s, err := undo(ctx, place)
		if err == nil || errors.Is(err, os.ErrProcessDone) {
			e.mu.Lock()
			defer e.mu.Unlock()
			delete(f.stands, place)
			if err != nil {
				return nil
			}
			if !asleep {
				f.last = latest(f.last, s.when())
			}
			if s.Came != "" {
				if s.Came != f.said[place] {
					f.note(place, Sight{At: s.At, Detail: s.Came})
				}
				f.show(place)
			}
			if s.Detail != "" {
				f.note(place, s)
			}
			return nil
		}
		before := why
		why = e.away(f, place)
		if why == "" && before == "" || !sleep(ctx, againAfter) {
			return err
		}
	}
}

// finish closes the record of a fault that was left everywhere.
func (e *Engine) finish(f *fault) {
	f.end()
	e.mu.Lock()
	f.settle()
	r := &f.record
	if !r.Effective && r.Error == "" && r.Skipped == "" {
		why := "nothing ran into it while it stood"
		if f.unseen != nil {
			why = f.unseen.Error()
		}
		if r.Spec.Source == "nemesis" {
			// Another fault kept everything away from it: it was drawn, and
			// not asked for.
			r.Skipped = "it stood, and " + why
		} else {
			f.fail(errors.New(NoProof + why))
		}
	}
	done := f.copy()
	e.mu.Unlock()
	if done.Reverted {
		e.journal.end(done)
	}
	e.log.Info("fault over", "name", done.Spec.Name, "reverted", done.Reverted, "error", done.Error)
}

// stateOfPause is the state of a process that a pause stands on.
const stateOfPause = "paused"

// away says why the replica of a place can't be asked anything, "" where it
// can, or where the place is no replica.
func (e *Engine) away(f *fault, place string) string {
	if d, _ := Find(f.record.Spec.Fault); d.on != onReplicas || f.act.places != nil {
		return ""
	}
	return e.system.Away(place)
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

// note takes down what was seen at a place.
func (f *fault) note(place string, s Sight) {
	f.said[place] = s.Detail
	f.record.Proof = append(f.record.Proof, fmt.Sprintf("%s %s: %s", s.when().UTC().Format("15:04:05.000"), place, s.Detail))
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
	at := s.when()
	if !s.Since.IsZero() {
		at = s.Since
	}
	if f.record.Started.IsZero() || at.Before(f.record.Started) {
		f.record.Started = at
	}
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

package chaos

import (
	"context"
	"sync"
	"time"
)

// Pauser stops processes where they stand, and lets them run again.
type Pauser interface {
	// Pause stops the process; one that stands still may be paused again.
	Pause(ctx context.Context, replica string) (at time.Time, detail string, err error)
	// Resume lets a paused process run. Of one that runs it says so.
	Resume(ctx context.Context, replica string) (at time.Time, detail string, err error)
}

var pause = Definition{
	Name:    "pause",
	Family:  ProcessFamily,
	Summary: "SIGSTOP: connections stay open, nobody answers",
	Targets: processes,
	Options: []Option{forOption, replicasOption},
	Example: "ordbench chaos pause broker --for 5s",
	bind: func(e *Engine, _ Spec) (act, error) {
		stack, err := means[Pauser](e, "processes to pause")
		var mu sync.Mutex
		said := map[string]string{}
		see := func(ctx context.Context, replica string) (Sight, error) {
			s, err := witnessed(stack.Pause(ctx, replica))
			mu.Lock()
			defer mu.Unlock()
			before := said[replica]
			if err == nil {
				said[replica] = s.Detail
			}
			s.Again = before != "" && before != s.Detail
			return s, err
		}
		return act{
			apply: see,
			look:  see, // another process in its place is paused too
			undo:  func(ctx context.Context, replica string) (Sight, error) { return witnessed(stack.Resume(ctx, replica)) },
		}, err
	},
}

// release undoes a fault of one kind that stands on a replica, at the word of
// another, and keeps it from being made again meanwhile.
func (e *Engine) release(kind, replica, how string, undo func() (Sight, error)) (Sight, error) {
	var standing []*fault
	for _, f := range e.all() {
		if turn := f.turns[replica]; turn != nil && f.record.Spec.Fault == kind {
			turn.Lock()
			defer turn.Unlock()
			standing = append(standing, f)
		}
	}
	s, err := undo()
	if err != nil {
		return s, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, f := range standing {
		if !f.stands[replica] {
			continue
		}
		f.note(replica, Sight{At: s.At, Detail: how})
		delete(f.stands, replica)
		f.last = latest(f.last, s.when())
		if len(f.stands) == 0 {
			f.settle()
			f.end()
		}
	}
	return s, nil
}

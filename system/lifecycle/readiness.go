package lifecycle

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
)

// Readiness lists what a replica waits for before it can take work.
type Readiness struct {
	mu      sync.Mutex
	waiting []string
	stopped bool
}

// WaitFor is ready once each of the steps was reached.
func WaitFor(steps ...string) *Readiness { return &Readiness{waiting: slices.Clone(steps)} }

// Reached says that one step is behind us.
func (r *Readiness) Reached(step string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting = slices.DeleteFunc(r.waiting, func(s string) bool { return s == step })
}

// stop says that this replica takes no more work, whatever it still reaches.
func (r *Readiness) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopped = true
}

// Check is nil when this replica is ready, else why it is not.
func (r *Readiness) Check(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.stopped:
		return errors.New("stopping")
	case len(r.waiting) > 0:
		return errors.New("waiting for " + strings.Join(r.waiting, ", "))
	}
	return nil
}

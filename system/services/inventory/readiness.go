package inventory

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
)

// readiness lists what this replica waits for before it can take work.
type readiness struct {
	mu      sync.Mutex
	waiting []string
	stopped bool
}

func waitFor(steps ...string) *readiness { return &readiness{waiting: steps} }

// reached says that one step is behind us.
func (r *readiness) reached(step string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting = slices.DeleteFunc(r.waiting, func(s string) bool { return s == step })
}

// stop says that this replica takes no more work.
func (r *readiness) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopped = true
}

// check is nil when this replica is ready, else why it is not.
func (r *readiness) check(context.Context) error {
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

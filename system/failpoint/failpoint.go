// Package failpoint names the moments between two steps of a service at which
// a crash must not hurt: between commit and publish, publish and mark, commit
// and offset commit. At declares one, Hit passes it, and whoever may reach the
// admin endpoint of a replica arms it there, through Handler.
//
// The invariant: a point that is not armed costs one atomic load and does
// nothing, and one that is armed does to its own process only what its Plan
// says. Names are those of the catalogue, and only those.
package failpoint

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// ErrInjected is what Hit returns from a point that is armed with an error.
var ErrInjected = errors.New("injected")

// Point is one place in the code. A nil Point is never armed.
type Point struct {
	name  string
	armed atomic.Pointer[arming]
	hits  atomic.Uint64 // while armed, since the last Arm
	fired atomic.Uint64 // in all
}

// arming is a plan while it holds.
type arming struct {
	Plan
	left atomic.Int64 // times that it may still strike
}

var (
	mu     sync.Mutex
	points = map[string]*Point{} // that this program has, by name
)

// At declares the point of that name; twice is the same one. A name that is
// not in the catalogue is a mistake of the program.
func At(name string) *Point {
	mu.Lock()
	defer mu.Unlock()
	if p := points[name]; p != nil {
		return p
	}
	if !slices.Contains(catalogue, name) {
		panic("failpoint: " + name + " is not in the catalogue")
	}
	p := &Point{name: name}
	points[name] = p
	return p
}

// Hit passes the point: nil at once, unless it is armed and the plan strikes.
func (p *Point) Hit(ctx context.Context) error {
	if p == nil {
		return nil
	}
	a := p.armed.Load()
	if a == nil {
		return nil
	}
	return p.strike(ctx, a)
}

func (p *Point) strike(ctx context.Context, a *arming) error {
	if hit := p.hits.Add(1); hit <= a.After {
		return nil
	}
	if a.Probability > 0 && rand.Float64() >= a.Probability {
		return nil
	}
	if a.Times > 0 && a.left.Add(-1) < 0 {
		return nil
	}
	p.fired.Add(1)
	switch a.Action {
	case Crash:
		// No deferred function runs and no buffer is flushed, as when the
		// machine's own killer comes.
		_ = syscall.Kill(syscall.Getpid(), syscall.SIGKILL)
		// The first process of a container is spared by its own signals. The
		// kernel ends it as abruptly this way, and it looks the same from
		// outside.
		syscall.Exit(128 + int(syscall.SIGKILL))
	case Pause:
		t := time.NewTimer(a.For)
		defer t.Stop()
		select {
		case <-t.C:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return fmt.Errorf("%s: %w", p.name, ErrInjected)
}

// Arm makes the point of that name strike by plan, in place of any plan before.
func Arm(name string, plan Plan) error {
	if err := plan.Validate(); err != nil {
		return fmt.Errorf("arm %s: %w", name, err)
	}
	p, err := find(name)
	if err != nil {
		return err
	}
	a := &arming{Plan: plan}
	a.left.Store(int64(plan.Times))
	p.hits.Store(0)
	p.armed.Store(a)
	return nil
}

// Disarm makes the point of that name do nothing.
func Disarm(name string) error {
	p, err := find(name)
	if err != nil {
		return err
	}
	p.armed.Store(nil)
	return nil
}

// UnknownError says that this program has no such point.
type UnknownError struct{ Name string }

func (e *UnknownError) Error() string {
	return fmt.Sprintf("no failpoint %q here; there is %s", e.Name, strings.Join(Names(), ", "))
}

func find(name string) (*Point, error) {
	mu.Lock()
	p := points[name]
	mu.Unlock()
	if p == nil {
		return nil, &UnknownError{Name: name}
	}
	return p, nil
}

// Names are the points that this program has, sorted.
func Names() []string {
	mu.Lock()
	defer mu.Unlock()
	names := make([]string, 0, len(points))
	for name := range points {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// State is one point as it is now.
type State struct {
	Name  string `json:"name"`
	Armed *Plan  `json:"armed,omitempty"` // nil: it does nothing
	Hits  uint64 `json:"hits"`            // since it was last armed
	Fired uint64 `json:"fired"`           // times that a plan struck, since the process started
}

// States are all points that have the prefix, sorted by name.
func States(prefix string) []State {
	states := []State{}
	for _, name := range Names() {
		if !strings.HasPrefix(name, prefix) {
			continue
		}
		p, _ := find(name)
		s := State{Name: name, Hits: p.hits.Load(), Fired: p.fired.Load()}
		if a := p.armed.Load(); a != nil {
			plan := a.Plan
			s.Armed = &plan
		}
		states = append(states, s)
	}
	return states
}

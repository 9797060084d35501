package loadgen

import (
	"errors"
	"fmt"
	"iter"
	"time"
)

// Plan is the traffic of a run: its phases, one after the other.
type Plan struct {
	Phases []Phase
	Seed   uint64 // of the arrivals
}

// Phase is one law for a while.
type Phase struct {
	Name   string
	Law    Law
	For    time.Duration
	Record bool // false: counted, not timed (a warm-up)
}

// Length is the time from the start of the first phase to the end of the last.
func (p Plan) Length() time.Duration {
	var sum time.Duration
	for _, phase := range p.Phases {
		sum += phase.For
	}
	return sum
}

// Start is when phase i starts.
func (p Plan) Start(i int) time.Duration { return Plan{Phases: p.Phases[:i]}.Length() }

// At is the index of the phase that runs at t: -1 before the first, the
// number of phases after the last.
func (p Plan) At(t time.Duration) int {
	if t < 0 {
		return -1
	}
	for i, phase := range p.Phases {
		if t < phase.For {
			return i
		}
		t -= phase.For
	}
	return len(p.Phases)
}

// Arrivals are all arrivals of the plan: the index of the phase, and when the
// attempt is due, from the start of the plan.
func (p Plan) Arrivals() iter.Seq2[int, time.Duration] {
	return func(yield func(int, time.Duration) bool) {
		c := cursor{plan: p}
		for {
			phase, due, ok := c.next()
			if !ok || !yield(phase, due) {
				return
			}
		}
	}
}

// Users is how many users a closed plan has, 0 for an open one.
func (p Plan) Users() int {
	if len(p.Phases) > 0 {
		if c, ok := p.Phases[0].Law.(Closed); ok {
			return c.Users
		}
	}
	return 0
}

// Validate reports every problem of the plan.
func (p Plan) Validate() error {
	var errs []error
	if len(p.Phases) == 0 {
		errs = append(errs, errors.New("plan: no phases"))
	}
	seen := map[string]bool{}
	for _, phase := range p.Phases {
		switch {
		case phase.Name == "":
			errs = append(errs, errors.New("plan: a phase without a name"))
		case seen[phase.Name]:
			errs = append(errs, fmt.Errorf("plan: two phases named %q", phase.Name))
		}
		seen[phase.Name] = true
		if phase.Law == nil {
			errs = append(errs, fmt.Errorf("phase %q: no arrival law", phase.Name))
		}
		if phase.For <= 0 {
			errs = append(errs, fmt.Errorf("phase %q: lasts %v, want more than 0", phase.Name, phase.For))
		}
	}
	return errors.Join(append(errs, p.validateClosed())...)
}

// validateClosed holds a closed plan to what Closed asks for.
func (p Plan) validateClosed() error {
	users, closed := 0, 0
	for _, phase := range p.Phases {
		c, ok := phase.Law.(Closed)
		switch {
		case !ok:
			continue
		case c.Users < 1:
			return fmt.Errorf("phase %q: %d users, want at least 1", phase.Name, c.Users)
		case closed > 0 && c.Users != users:
			return fmt.Errorf("phase %q: %d users, and %d before it", phase.Name, c.Users, users)
		}
		users = c.Users
		closed++
	}
	if closed > 0 && closed < len(p.Phases) {
		return errors.New("plan: closed and open phases")
	}
	return nil
}

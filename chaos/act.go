package chaos

import (
	"context"
	"fmt"
	"time"
)

// act is one fault ready to be made. Its functions work on one place each, a
// replica or a link. An error that is os.ErrProcessDone says that the place
// is not wanted any more: it was scaled away.
type act struct {
	// places are where it is made, if not on the replicas of its target.
	places []string
	// apply makes the fault: when it returns, the fault is there.
	apply func(ctx context.Context, place string) (Sight, error)
	// prove sees the effect of a fault that apply has made without seeing
	// it. Its end is that of the fault. A Sight without a Detail is no proof.
	prove func(ctx context.Context, place string) (Sight, error)
	// look renews what holds the fault up, after a restart of its target
	// too, and sees what it has done so far. It is called again and again
	// while the fault stands. nil: there is nothing to renew, and apply has
	// seen it all.
	look func(ctx context.Context, place string) (Sight, error)
	// inside says that the fault is inside a process: one that stands still
	// does not feel it, and can't be asked to let it go.
	inside bool
	// undo ends the fault and sees it over, and what came of it. nil: it is
	// over once it is made.
	undo func(ctx context.Context, place string) (Sight, error)
	// over sees a fault end by itself at its time. nil: it has to be undone.
	over func(ctx context.Context, place string) (Sight, error)
}

// held says that the fault is held in place, for whichever process is there.
func (a act) held() bool { return a.look != nil && a.undo != nil }

// Sight is what was seen of a fault at one place.
type Sight struct {
	At     time.Time // when; zero: now
	Since  time.Time // when it began, where that was before it was seen
	Detail string    // "": nothing
	Came   string    // at the end: what came of it, which proves it; "": nothing
	Armed  bool      // it is in place, and has not shown its effect yet
	Again  bool      // it had to be made again: the target has started anew
}

// when is when it was seen.
func (s Sight) when() time.Time {
	if s.At.IsZero() {
		return time.Now()
	}
	return s.At
}

// saw is a sight of this moment.
func saw(format string, args ...any) Sight {
	return Sight{At: time.Now(), Detail: fmt.Sprintf(format, args...)}
}

// witnessed turns what methods of a Stack return into a Sight.
func witnessed(at time.Time, detail string, err error) (Sight, error) {
	return Sight{At: at, Detail: detail}, err
}

// means finds among what can be broken what a fault needs of it.
func means[T any](e *Engine, what string) (T, error) {
	m, ok := e.system.(T)
	if !ok {
		return m, &UsageError{Field: "fault", Message: "this system has no " + what, Hint: "ordbench chaos list shows what each fault needs"}
	}
	return m, nil
}

package chaos

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Failpoints are named places in the code of a service that can be made to do
// harm.
type Failpoints interface {
	// ArmFailpoint makes a point strike: crash once, or pause or err at each
	// passage. It returns the process that it was armed in.
	ArmFailpoint(ctx context.Context, replica, point, action string, wait time.Duration) (pid int, err error)
	// Failpoint says how often a point has struck, whether it is armed, and
	// in which process that is.
	Failpoint(ctx context.Context, replica, point string) (fired int64, armed bool, pid int, err error)
	DisarmFailpoint(ctx context.Context, replica, point string) error
	Restarter
}

var failpoint = Definition{
	Name:    "failpoint",
	Family:  ProcessFamily,
	Summary: "a service dies, stands still or fails between two steps of its work",
	Targets: keepers,
	Options: []Option{
		{Name: "point", Kind: Word, Summary: "where: order.place.after-commit, inventory.before-offset-commit, payment.after-charge, ..."},
		{Name: "action", Kind: Word, Default: "crash", Words: []string{"crash", "pause", "error"}, Summary: "crash strikes once, the others at each passage"},
		{Name: "wait", Kind: Duration, Default: "500ms", Summary: "of a pause"},
		{Name: "for", Kind: Duration, Default: "5s", Summary: "how long it is armed; 0s lasts until it is healed"},
		replicasOption,
	},
	Example: "ordbench chaos failpoint inventory --point inventory.after-commit --for 10s",
	check: func(s Spec) *UsageError {
		component, _ := s.component()
		if !strings.HasPrefix(s.text("point"), component+".") {
			return &UsageError{Field: "point", Message: fmt.Sprintf("%s is no point of %s", s.text("point"), component), Hint: "its points begin with " + component + "."}
		}
		return nil
	},
	bind: func(e *Engine, s Spec) (act, error) {
		stack, err := means[Failpoints](e, "failpoints")
		point, action := s.text("point"), s.text("action")
		armed := map[string]int{} // pid by replica; the engine's look of a place is one at a time
		arm := func(ctx context.Context, replica string) (Sight, error) {
			wait := time.Duration(0)
			if action == "pause" {
				wait = s.duration("wait")
			}
			pid, err := stack.ArmFailpoint(ctx, replica, point, action, wait)
			sight := saw("%s is armed in pid %d: %s", point, pid, action)
			sight.Armed = true
			e.mu.Lock()
			defer e.mu.Unlock()
			armed[replica] = pid
			return sight, err
		}
		return act{
			apply: arm,
			look: func(ctx context.Context, replica string) (Sight, error) {
				fired, stillArmed, pid, err := stack.Failpoint(ctx, replica, point)
				e.mu.Lock()
				before := armed[replica]
				e.mu.Unlock()
				switch {
				case err != nil:
					return Sight{Armed: true}, err
				case action == "crash" && pid != before:
					return saw("pid %d died at %s; pid %d is in its place", before, point, pid), nil
				case !stillArmed && action != "crash":
					again, err := arm(ctx, replica)
					again.Again = true
					return again, err
				case fired == 0:
					return Sight{Armed: true}, fmt.Errorf("nothing passed %s", point)
				}
				return saw("%s struck %d times", point, fired), nil
			},
			undo: func(ctx context.Context, replica string) (Sight, error) {
				if err := stack.DisarmFailpoint(ctx, replica, point); err != nil {
					return Sight{}, err
				}
				return witnessed(stack.AwaitReady(ctx, replica))
			},
		}, err
	},
}

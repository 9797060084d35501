package chaos

import (
	"context"
	"fmt"
	"slices"
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

// points are the failpoints of each service, after its name and a dot. A test
// holds them to those of the services.
var points = map[string][]string{
	"order": slices.Concat([]string{"place.before-commit", "place.after-commit", "consume.before-commit", "consume.after-commit", "cancel.before-commit", "cancel.after-commit"},
		offsetPoints, asidePoints, relayPoints, []string{"2pc.before-decision", "2pc.after-decision", "2pc.before-settled"}),
	"inventory": slices.Concat([]string{"2pc.before-prepare", "2pc.after-prepare", "2pc.before-commit", "2pc.after-commit", "2pc.before-abort", "2pc.after-abort"},
		[]string{"before-commit", "after-commit", "compensation.before-commit", "compensation.after-commit"}, offsetPoints, asidePoints, relayPoints),
	"payment": slices.Concat([]string{"2pc.after-authorise", "2pc.after-prepare", "2pc.before-commit", "2pc.after-capture", "2pc.after-commit", "2pc.before-abort", "2pc.after-void"},
		[]string{"before-charge", "after-charge", "before-commit", "after-commit", "refund.before-commit", "refund.after-commit"}, offsetPoints, asidePoints, relayPoints),
	"notification": slices.Concat([]string{"before-commit", "after-commit"}, offsetPoints, asidePoints),
}

var (
	offsetPoints = []string{"before-offset-commit", "after-offset-commit"}
	asidePoints  = []string{"aside.before-publish", "aside.after-publish"}
	relayPoints  = []string{"relay.before-publish", "relay.after-publish", "relay.after-mark"}
)

// Points names the failpoints of a service, "inventory.after-commit".
func Points(component string) []string {
	names := make([]string, len(points[component]))
	for i, name := range points[component] {
		names[i] = component + "." + name
	}
	return names
}

func pointNotes() []string {
	var notes []string
	for _, component := range keepers {
		notes = append(notes, "points "+component+".NAME: "+strings.Join(points[component], ", "))
	}
	return notes
}

var failpoint = Definition{
	Name:    "failpoint",
	Family:  ProcessFamily,
	Summary: "a service dies, stands still or fails between two steps of its work",
	Targets: keepers,
	Options: []Option{
		{Name: "point", Kind: Word, Summary: "where: the service and the step, inventory.after-commit"},
		{Name: "action", Kind: Word, Default: "crash", Words: []string{"crash", "pause", "error"}, Summary: "crash strikes once, the others at each passage"},
		{Name: "wait", Kind: Duration, Default: "500ms", Summary: "of a pause"},
		{Name: "for", Kind: Duration, Default: "5s", Summary: "how long it is armed; 0s lasts until it is healed"},
		replicasOption,
	},
	Notes:   pointNotes(),
	Example: "ordbench chaos failpoint inventory --point inventory.after-commit --for 10s",
	check: func(s Spec) *UsageError {
		component, _ := s.component()
		if point, own := s.text("point"), Points(component); !slices.Contains(own, point) {
			hint := suggest(point, own)
			for _, other := range keepers {
				if slices.Contains(Points(other), point) {
					hint = "it is one of " + other
				}
			}
			return &UsageError{Field: "point", Message: fmt.Sprintf("%q is no point of %s", point, component), Hint: hint}
		}
		if _, given := s.Options["wait"]; given && s.text("action") != "pause" {
			return &UsageError{Field: "wait", Message: "wait is that of a pause, and the action is " + s.text("action"), Hint: "action pause"}
		}
		if s.text("action") == "pause" && s.duration("wait") == 0 {
			return &UsageError{Field: "wait", Message: "a pause of 0s is none"}
		}
		return nil
	},
	bind: func(e *Engine, s Spec) (act, error) {
		stack, err := means[Failpoints](e, "failpoints")
		point, action := s.text("point"), s.text("action")
		type arming struct {
			pid   int
			fired int64 // before it was armed, in that process
		}
		armed := map[string]arming{} // by replica
		arm := func(ctx context.Context, replica string) (Sight, error) {
			fired, _, in, err := stack.Failpoint(ctx, replica, point)
			if err != nil {
				return Sight{}, err
			}
			wait := time.Duration(0)
			if action == "pause" {
				wait = s.duration("wait")
			}
			pid, err := stack.ArmFailpoint(ctx, replica, point, action, wait)
			sight := saw("%s is armed in pid %d: %s", point, pid, action)
			sight.Armed = true
			e.mu.Lock()
			defer e.mu.Unlock()
			armed[replica] = arming{pid, 0}
			if in == pid {
				armed[replica] = arming{pid, fired}
			}
			return sight, err
		}
		see := func(ctx context.Context, replica string) (Sight, error) {
			fired, stillArmed, pid, err := stack.Failpoint(ctx, replica, point)
			if err != nil && back(ctx, stack, replica) { // it had just died of it
				fired, stillArmed, pid, err = stack.Failpoint(ctx, replica, point)
			}
			e.mu.Lock()
			before := armed[replica]
			e.mu.Unlock()
			switch {
			case err != nil:
				return Sight{Armed: true}, err
			case action == "crash" && pid != before.pid && before.pid != 0:
				return saw("pid %d died at %s; pid %d is in its place", before.pid, point, pid), nil
			case !stillArmed && action != "crash":
				return Sight{Armed: true, Again: true}, nil
			case pid == before.pid && fired > before.fired:
				return saw("%s struck %d times", point, fired-before.fired), nil
			}
			return Sight{Armed: true}, fmt.Errorf("nothing passed %s", point)
		}
		return act{
			inside: true,
			apply:  arm,
			look: func(ctx context.Context, replica string) (Sight, error) {
				s, err := see(ctx, replica)
				if err == nil && s.Again {
					s, err = arm(ctx, replica)
					s.Again = true
				}
				return s, err
			},
			undo: func(ctx context.Context, replica string) (Sight, error) {
				came, unseen := see(ctx, replica)
				err := stack.DisarmFailpoint(ctx, replica, point)
				if err != nil && back(ctx, stack, replica) {
					err = stack.DisarmFailpoint(ctx, replica, point)
				}
				if err != nil {
					return Sight{}, err
				}
				disarmed := time.Now()
				s, err := witnessed(stack.AwaitReady(ctx, replica))
				s.At = latest(disarmed, s.At)
				if unseen == nil && !came.Armed {
					s.Came = came.Detail
				}
				return s, err
			},
		}, err
	},
}

// backWithin is how long a replica that died may take to come back before a
// failpoint counts as out of reach.
const backWithin = 10 * time.Second

// back waits for a replica that does not answer.
func back(ctx context.Context, stack Restarter, replica string) bool {
	ctx, cancel := context.WithTimeout(ctx, backWithin)
	defer cancel()
	_, _, err := stack.AwaitReady(ctx, replica)
	return err == nil
}

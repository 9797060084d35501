package chaos

import (
	"context"
	"fmt"
	"time"
)

// Levers are what components let themselves be moved by while they run, over
// their admin endpoints.
type Levers interface {
	// Move sets a lever of a replica, for as long as the lease lasts, and
	// says how often it has acted since it was first set so. fresh says that
	// it did not stand so before.
	Move(ctx context.Context, replica, lever string, values map[string]string, lease time.Duration) (acted int64, fresh bool, err error)
	// LetGo lets a lever go back and says how often it has acted. One whose
	// process is gone has gone back.
	LetGo(ctx context.Context, replica, lever string) (acted int64, err error)
}

// leverLease is how long a lever stays without being renewed: it goes back by
// itself when nobody is there any more to let it go.
const leverLease = 3 * time.Second

// leverFault is a lever that is held in place.
type leverFault struct {
	lever   string
	options []string // that are its values
	acts    string   // what it counts: "writes were delayed"
}

// act binds the fault to the replicas that have the lever.
func (l leverFault) act(e *Engine, s Spec) (act, error) {
	levers, err := means[Levers](e, "levers on its components")
	values := map[string]string{}
	for _, name := range l.options {
		if text := s.plain(name); text != "" {
			values[name] = text
		}
	}
	move := func(ctx context.Context, replica string) (int64, bool, error) {
		return levers.Move(ctx, replica, l.lever, values, leverLease)
	}
	return act{
		inside: true,
		apply: func(ctx context.Context, replica string) (Sight, error) {
			acted, _, err := move(ctx, replica)
			s := saw("lever %s is set, leased for %s", l.lever, leverLease)
			s.Armed = acted == 0
			return s, err
		},
		look: func(ctx context.Context, replica string) (Sight, error) {
			acted, fresh, err := move(ctx, replica)
			switch {
			case err != nil:
				return Sight{}, err
			case fresh:
				s := saw("lever %s is set again: it had started anew", l.lever)
				s.Again, s.Armed = true, true
				return s, nil
			case acted == 0:
				return Sight{Armed: true}, fmt.Errorf("lever %s of %s did not act", l.lever, replica)
			}
			return saw("%d %s", acted, l.acts), nil
		},
		undo: func(ctx context.Context, replica string) (Sight, error) {
			acted, err := levers.LetGo(ctx, replica, l.lever)
			s := saw("lever %s is back", l.lever)
			if acted > 0 {
				s.Came = fmt.Sprintf("%d %s", acted, l.acts)
			}
			return s, err
		},
	}, err
}

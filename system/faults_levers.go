package system

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/ordbench/ordbench/system/failpoint"
	"github.com/ordbench/ordbench/system/lever"
)

// Move sets a lever of a replica until the lease is over, and says how often
// it has acted since it was first set so. fresh says that it did not stand so
// before: it was never set, or its process has started anew.
func (s *Stack) Move(ctx context.Context, replica, name string, values map[string]string, lease time.Duration) (acted int64, fresh bool, err error) {
	st, _, err := s.find(replica)
	if err != nil {
		return 0, false, fmt.Errorf("lever %s: %w", name, err)
	}
	order := struct {
		Values  map[string]string `json:"values"`
		LeaseMS int64             `json:"lease_ms"`
	}{values, lease.Milliseconds()}
	var state lever.State
	if err := s.probe.ask(ctx, st.Admin, http.MethodPut, "/levers/"+name, order, &state); err != nil {
		return 0, false, fmt.Errorf("lever %s of %s: %w", name, replica, err)
	}
	return state.Acted, state.Fresh, nil
}

// LetGo lets a lever go back, and says how often it has acted. One whose
// process is gone has gone back.
func (s *Stack) LetGo(ctx context.Context, replica, name string) (acted int64, err error) {
	st, _, runs := s.running(replica)
	if !runs {
		return 0, nil
	}
	var state lever.State
	err = s.probe.ask(ctx, st.Admin, http.MethodDelete, "/levers/"+name, nil, &state)
	if _, _, runs = s.running(replica); err != nil && runs {
		return 0, fmt.Errorf("lever %s of %s: %w", name, replica, err)
	}
	return state.Acted, nil
}

// ArmFailpoint makes a failpoint of a replica strike, and returns the process
// that it was armed in.
func (s *Stack) ArmFailpoint(ctx context.Context, replica, point, action string, wait time.Duration) (pid int, err error) {
	_, p, err := s.find(replica)
	if err != nil {
		return 0, fmt.Errorf("failpoint: %w", err)
	}
	return p.PID(), s.Arm(ctx, replica, point, failpoint.Plan{Action: action, For: wait})
}

// Failpoint says how often a point has struck, whether it is armed, and in
// which process that is.
func (s *Stack) Failpoint(ctx context.Context, replica, point string) (fired int64, armed bool, pid int, err error) {
	_, p, err := s.find(replica)
	if err != nil {
		return 0, false, 0, fmt.Errorf("failpoint: %w", err)
	}
	states, err := s.Failpoints(ctx, replica)
	if err != nil {
		return 0, false, 0, err
	}
	for _, state := range states {
		if state.Name == point {
			return int64(state.Fired), state.Armed != nil, p.PID(), nil
		}
	}
	return 0, false, 0, fmt.Errorf("%s has no failpoint %s", replica, point)
}

// DisarmFailpoint makes a failpoint do nothing. One whose process is gone does
// nothing already.
func (s *Stack) DisarmFailpoint(ctx context.Context, replica, point string) error {
	_, p, runs := s.running(replica)
	if !runs {
		return nil
	}
	err := s.Disarm(ctx, replica, point)
	if err == nil {
		return nil
	}
	// It may have died of the point just now, and its end is not known yet;
	// or it is starting and does not listen.
	soon := time.NewTimer(deathKnown)
	defer soon.Stop()
	select {
	case <-p.Done():
		return nil
	case <-soon.C:
	case <-ctx.Done():
		return err
	}
	if _, _, away := s.AwaitReady(ctx, replica); away != nil {
		return err
	}
	return s.Disarm(ctx, replica, point)
}

// deathKnown is how long the end of a process may take to be known.
const deathKnown = time.Second

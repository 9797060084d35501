package system

import (
	"context"
	"fmt"
	"time"
)

// Running names the replicas of a component that have a process, paused or
// not, replica 0 first.
func (s *Stack) Running(component string) []string {
	var names []string
	for _, st := range s.of(Component(component)) {
		if _, err := st.running(); err == nil {
			names = append(names, st.Name)
		}
	}
	return names
}

// Down names the replicas of a component that have no process now and are to
// have one again: they have ended, or are held down.
func (s *Stack) Down(component string) []string {
	var names []string
	for _, st := range s.of(Component(component)) {
		st.mu.Lock()
		if st.wanted && st.process == nil {
			names = append(names, st.Name)
		}
		st.mu.Unlock()
	}
	return names
}

// Away says why a replica can't be asked anything now: it is paused, has no
// process, or is starting or stopping. It is "" for one that can, and for one
// that nobody wants any more.
func (s *Stack) Away(replica string) string {
	st, err := s.seat(replica)
	if err != nil {
		return ""
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	switch state := st.state(); {
	case !st.wanted, state == Ready, state == Unready:
		return ""
	default:
		return string(state)
	}
}

// Known tells whether target names a component or a replica of the stack.
func (s *Stack) Known(target string) bool {
	if Component(target).valid() {
		return true
	}
	_, err := s.seat(target)
	return err == nil
}

// The methods below change one replica and return when the change was seen in
// the process table, with the moment and the evidence. An error that is
// os.ErrProcessDone says that the replica was scaled away.

// Kill ends a replica at once, paused or not. It stays down for hold; 0 leaves
// the restart to the supervisor and its backoff.
func (s *Stack) Kill(ctx context.Context, replica string, hold time.Duration) (at time.Time, detail string, err error) {
	st, p, err := s.find(replica)
	if err != nil {
		return time.Time{}, "", fmt.Errorf("kill: %w", err)
	}
	if hold > 0 {
		st.update(func() { st.heldUntil = time.Now().Add(hold) })
	}
	if err := p.Kill(); err != nil {
		st.update(func() { st.heldUntil = time.Time{} })
		return time.Time{}, "", fmt.Errorf("kill %s: %w", replica, err)
	}
	select {
	case <-p.Done():
		at = time.Now()
	case <-ctx.Done():
		return time.Time{}, "", fmt.Errorf("kill %s: pid %d still there: %w", replica, p.PID(), ctx.Err())
	}
	if err := st.await(ctx, func() bool { return st.process != p }); err != nil {
		return time.Time{}, "", fmt.Errorf("kill %s: %w", replica, err)
	}
	return at, fmt.Sprintf("pid %d is gone (%s)", p.PID(), p.Exit()), nil
}

// Pause stops a replica where it stands; its connections stay open.
func (s *Stack) Pause(ctx context.Context, replica string) (at time.Time, detail string, err error) {
	st, p, err := s.find(replica)
	if err != nil {
		return time.Time{}, "", fmt.Errorf("pause: %w", err)
	}
	st.update(func() { st.paused, st.ready, st.detail = true, false, "paused" })
	if err = p.Pause(); err == nil {
		at, detail, err = awaitStopped(ctx, p, true)
	}
	if err != nil {
		st.update(func() { st.paused = false })
		return time.Time{}, "", fmt.Errorf("pause %s: %w", replica, err)
	}
	return at, detail, nil
}

// Resume lets a paused replica run. Of one that runs it says so.
func (s *Stack) Resume(ctx context.Context, replica string) (at time.Time, detail string, err error) {
	st, p, err := s.find(replica)
	if err != nil {
		return time.Time{}, "", fmt.Errorf("resume: %w", err)
	}
	if err = p.Resume(); err == nil {
		at, detail, err = awaitStopped(ctx, p, false)
	}
	if err != nil {
		return time.Time{}, "", fmt.Errorf("resume %s: %w", replica, err)
	}
	st.update(func() { st.paused = false })
	return at, detail, nil
}

// Restart ends a replica gracefully and returns when it is ready again. One
// that is down or held down is only started, at once.
func (s *Stack) Restart(ctx context.Context, replica string) (at time.Time, detail string, err error) {
	st, err := s.seat(replica)
	if err != nil {
		return time.Time{}, "", fmt.Errorf("restart: %w", err)
	}
	var old Process
	st.update(func() {
		old = st.process
		st.heldUntil, st.notBefore = time.Time{}, time.Time{}
	})
	if old != nil {
		st.end(old)
	}
	if err := st.await(ctx, func() bool { return st.process != old || !st.wanted }); err != nil {
		return time.Time{}, "", fmt.Errorf("restart %s: %w", replica, err)
	}
	at, detail, err = s.AwaitReady(ctx, replica)
	if err != nil {
		return time.Time{}, "", fmt.Errorf("restart: %w", err)
	}
	if old != nil {
		detail = fmt.Sprintf("pid %d is gone (%s); %s", old.PID(), old.Exit(), detail)
	}
	return at, detail, nil
}

// AwaitReady returns when a replica is ready, with the moment when it became
// so.
func (s *Stack) AwaitReady(ctx context.Context, replica string) (at time.Time, detail string, err error) {
	st, err := s.seat(replica)
	if err != nil {
		return time.Time{}, "", err
	}
	err = st.await(ctx, func() bool {
		if st.ready {
			at = st.readyAt
			detail = fmt.Sprintf("pid %d is ready, %d ms after its start", st.process.PID(), at.Sub(st.startedAt).Milliseconds())
		}
		return st.ready || !st.wanted
	})
	st.mu.Lock()
	defer st.mu.Unlock()
	switch {
	case detail != "":
		return at, detail, nil
	case err != nil:
		return time.Time{}, "", fmt.Errorf("%s is %s, not ready (%s): %w", replica, st.state(), st.detail, err)
	}
	return time.Time{}, "", st.away()
}

// find returns a replica with its process.
func (s *Stack) find(replica string) (*seat, Process, error) {
	st, err := s.seat(replica)
	if err != nil {
		return nil, nil, err
	}
	p, err := st.running()
	return st, p, err
}

// running tells whether a replica has a process, and which.
func (s *Stack) running(replica string) (st *seat, p Process, ok bool) {
	st, p, err := s.find(replica)
	return st, p, err == nil
}

// awaitStopped returns when the process table shows p standing still, or
// running.
func awaitStopped(ctx context.Context, p Process, want bool) (at time.Time, detail string, err error) {
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for {
		stopped, state, err := p.Stopped()
		if err != nil {
			return time.Time{}, "", err
		}
		if stopped == want {
			return time.Now(), fmt.Sprintf("pid %d is in state %s", p.PID(), state), nil
		}
		select {
		case <-look.C:
		case <-p.Done():
			return time.Time{}, "", fmt.Errorf("pid %d has ended: %s", p.PID(), p.Exit())
		case <-ctx.Done():
			return time.Time{}, "", fmt.Errorf("pid %d is in state %s: %w", p.PID(), state, ctx.Err())
		}
	}
}

package system

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"
)

// How the supervisor starts again what has died: after firstBackoff, then
// twice as long each time, up to lastBackoff; steadyAfter makes it forget.
const (
	firstBackoff = 100 * time.Millisecond
	lastBackoff  = 5 * time.Second
	steadyAfter  = 10 * time.Second
)

// stopGrace is how long a replica may take to end in good order.
const stopGrace = 10 * time.Second

// tailLines is how much of a dead replica's log is kept as the reason.
const tailLines = 10

// seat is one place of the fleet, with the supervisor that keeps a process in
// it for as long as one is wanted.
type seat struct {
	Replica
	fleet Fleet
	probe func(ctx context.Context) error // nil: it is ready
	log   *slog.Logger

	mu        sync.Mutex
	changed   chan struct{} // closed at each change, and replaced
	wanted    bool
	process   Process   // nil: none
	startedAt time.Time // of the process
	ready     bool
	readyAt   time.Time // since when it is ready
	wasReady  bool      // this process has been ready before
	paused    bool
	stopping  bool      // its end is by order
	heldUntil time.Time // held down by a fault
	notBefore time.Time // next start, by the backoff
	backoff   time.Duration
	starts    int    // since it is wanted
	ends      int    // unordered ends since it is wanted
	detail    string // why it is not ready
	lastEnd   string // how its last process ended, with the tail of its log
}

func newSeat(r Replica, fleet Fleet, probe func(context.Context) error, log *slog.Logger) *seat {
	return &seat{
		Replica: r, fleet: fleet, probe: probe,
		log:     log.With("replica", r.Name),
		changed: make(chan struct{}),
		backoff: firstBackoff,
		detail:  "not started",
	}
}

// update changes the seat under its lock and wakes whoever awaits.
func (s *seat) update(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	close(s.changed)
	s.changed = make(chan struct{})
}

// await returns nil as soon as cond, called under the lock, is true.
func (s *seat) await(ctx context.Context, cond func() bool) error {
	for {
		s.mu.Lock()
		met, changed := cond(), s.changed
		s.mu.Unlock()
		if met {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// want says whether the seat is to be taken. It doesn't wait for it.
func (s *seat) want(wanted bool) {
	s.update(func() {
		if wanted && !s.wanted {
			s.starts, s.ends, s.backoff = 0, 0, firstBackoff
			s.notBefore, s.heldUntil, s.lastEnd = time.Time{}, time.Time{}, ""
		}
		s.wanted = wanted
	})
}

// stop empties the seat: in good order while ctx lasts, then by force.
func (s *seat) stop(ctx context.Context) {
	s.want(false)
	empty := func() bool { return s.process == nil }
	if s.await(ctx, empty) == nil {
		return
	}
	s.mu.Lock()
	p := s.process
	s.mu.Unlock()
	if p != nil {
		_ = p.Kill() // an error means that it has ended already
		<-p.Done()
	}
	_ = s.await(context.WithoutCancel(ctx), empty)
}

// supervise keeps a process in the seat while it is wanted, until ctx ends;
// the seat has been stopped by then.
func (s *seat) supervise(ctx context.Context) {
	for s.awaitTurn(ctx) {
		p, err := s.fleet.Start(ctx, s.Name)
		if err != nil {
			s.fell(err.Error())
			continue
		}
		s.update(func() {
			s.process, s.startedAt = p, time.Now()
			s.ready, s.wasReady, s.paused, s.stopping = false, false, false, false
			s.starts++
			s.detail = "starting"
		})
		s.attend(ctx, p)
	}
}

// awaitTurn returns true when a process is to be started, false when ctx has
// ended.
func (s *seat) awaitTurn(ctx context.Context) bool {
	for {
		if s.await(ctx, func() bool { return s.wanted }) != nil {
			return false
		}
		s.mu.Lock()
		wait, changed := time.Until(latest(s.notBefore, s.heldUntil)), s.changed
		s.mu.Unlock()
		if wait <= 0 {
			return ctx.Err() == nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-changed:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// attend watches one process to its end.
func (s *seat) attend(ctx context.Context, p Process) {
	probing, cancel := context.WithCancel(ctx)
	var probes sync.WaitGroup
	probes.Go(func() { s.keepProbing(probing, p) })
	unwanted := make(chan struct{})
	probes.Go(func() {
		if s.await(probing, func() bool { return !s.wanted }) == nil {
			close(unwanted)
		}
	})
	select {
	case <-p.Done():
	case <-unwanted:
		s.end(p)
	}
	cancel()
	probes.Wait()
	s.ended(p)
}

// end asks a process to end, and makes it after the grace.
func (s *seat) end(p Process) {
	s.update(func() {
		if s.process == p {
			s.stopping, s.ready, s.detail = true, false, "stopping"
		}
	})
	err := p.Terminate()
	if err == nil {
		grace := time.NewTimer(stopGrace)
		defer grace.Stop()
		select {
		case <-p.Done():
			return
		case <-grace.C:
			err = fmt.Errorf("still there %s after SIGTERM", stopGrace)
		}
	}
	select {
	case <-p.Done():
		return
	default:
	}
	s.log.Warn("killed", "reason", err)
	_ = p.Kill()
	<-p.Done()
}

// ended notes that the process is gone, and when the next one may start.
func (s *seat) ended(p Process) {
	s.mu.Lock()
	ordered := s.stopping || !s.wanted
	held := time.Until(s.heldUntil) > 0
	if time.Since(s.startedAt) >= steadyAfter {
		s.backoff = firstBackoff
	}
	s.mu.Unlock()
	switch {
	case ordered:
		s.update(func() { s.clear(); s.notBefore = time.Time{} })
	case held:
		s.log.Info("held down", "exit", p.Exit())
		s.update(func() { s.clear(); s.detail = p.Exit() })
	default:
		s.fell(p.Exit())
	}
}

// fell notes an end that nobody ordered.
func (s *seat) fell(how string) {
	end := how + s.lastWords()
	s.update(func() {
		s.clear()
		s.ends++
		s.detail, s.lastEnd = how, end
		s.notBefore = time.Now().Add(s.backoff)
		s.log.Warn("ended", "exit", how, "again_in", s.backoff.String())
		s.backoff = min(2*s.backoff, lastBackoff)
	})
}

// clear empties the seat. The caller holds the lock.
func (s *seat) clear() {
	s.process, s.ready, s.paused, s.stopping = nil, false, false, false
}

// lastWords is the end of the log, as the end of an error.
func (s *seat) lastWords() string {
	tail := s.fleet.Tail(s.Name, tailLines)
	if tail == "" {
		return ""
	}
	return "; the end of its log:\n  " + strings.ReplaceAll(tail, "\n", "\n  ")
}

// state is what the seat is doing. The caller holds the lock.
func (s *seat) state() State {
	switch {
	case s.process == nil && time.Until(s.heldUntil) > 0:
		return Held
	case s.process == nil:
		return Down
	case s.stopping:
		return Stopping
	case s.paused:
		return Paused
	case s.ready:
		return Ready
	case s.wasReady:
		return Unready
	}
	return Starting
}

// running returns the seat's process; the error says why there is none.
func (s *seat) running() (Process, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.wanted:
		return nil, s.away()
	case s.process == nil:
		return nil, fmt.Errorf("%s has no process: it is %s", s.Name, s.state())
	}
	return s.process, nil
}

// away is the error for a replica that nobody wants any more.
func (s *seat) away() error {
	return fmt.Errorf("%s is scaled away: %w", s.Name, os.ErrProcessDone)
}

// awaitBoot returns when the seat is ready, or with the reason why it is not
// going to be.
func (s *seat) awaitBoot(ctx context.Context) error {
	err := s.await(ctx, func() bool { return s.ready || s.ends > 0 })
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ends > 0:
		return fmt.Errorf("start %s: %s", s.Name, s.lastEnd)
	case err != nil:
		return fmt.Errorf("start %s: not ready (%s): %w%s", s.Name, s.detail, err, s.lastWords())
	}
	return nil
}

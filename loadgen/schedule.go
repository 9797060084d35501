package loadgen

import (
	"sync"
	"time"
)

// schedule is the Source of a run: the arrivals of the plan, with content.
type schedule struct {
	workload Workload

	mu    sync.Mutex
	calls cursor
	crowd *crowd // in place of calls, where the plan is closed
	seq   uint64
	taken []map[Op]*uint64 // calls given out, by phase
	ahead Call             // Due and Op of the latest call given out, which may not be due yet

	// due counts the same arrivals a second time, by the clock alone, so that
	// what no engine has asked for yet is known to be waiting. They have a lock
	// of their own: to count must not hold an engine up.
	dueMu    sync.Mutex
	due      cursor
	dueHead  time.Duration
	dueMore  bool
	dueCount uint64
}

func newSchedule(p Plan, w Workload) *schedule {
	s := &schedule{workload: w, calls: cursor{plan: p}, due: cursor{plan: p}}
	for range p.Phases {
		s.taken = append(s.taken, map[Op]*uint64{})
	}
	if s.crowd = newCrowd(p); s.crowd == nil {
		_, s.dueHead, s.dueMore = s.due.next()
	}
	return s
}

// Next gives the next call of the plan.
func (s *schedule) Next(c *Call) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	phase, due, ok := s.next()
	if !ok {
		return false
	}
	c.Reset()
	c.Seq, c.Phase, c.Due, c.Planned = s.seq, phase, due, due
	c.first, c.further, c.goesOn, c.tries = -1, false, false, 0
	s.workload.Next(c)
	s.seq++
	s.ahead.Due, s.ahead.Op = due, c.Op
	n := s.taken[phase][c.Op]
	if n == nil {
		n = new(uint64)
		s.taken[phase][c.Op] = n
	}
	*n++
	return true
}

// next is the phase and due time of the next call.
func (s *schedule) next() (phase int, due time.Duration, ok bool) {
	if s.crowd != nil {
		return s.crowd.next()
	}
	return s.calls.next()
}

// withdraw takes back a call that was not due when the load was stopped.
func (s *schedule) withdraw(c *Call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*s.taken[c.Phase][c.Op]--
	s.ahead.Due = 0
}

// answered lets the user of a call go on, where there are users.
func (s *schedule) answered(at time.Duration) {
	if s.crowd == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.crowd.answered(at)
}

// progress counts by op what was given out and is due at now, and in all what
// is due by the law, given out or not.
func (s *schedule) progress(now time.Duration) (given map[Op]uint64, due uint64) {
	due = s.tick(now)
	s.mu.Lock()
	defer s.mu.Unlock()
	given = map[Op]uint64{}
	for _, ops := range s.taken {
		for op, n := range ops {
			given[op] += *n
		}
	}
	if s.ahead.Op != "" && s.ahead.Due > now { // none was taken before the first
		given[s.ahead.Op]--
	}
	if s.crowd != nil {
		for _, n := range given {
			due += n
		}
	}
	return given, due
}

// pulse is progress for those who only want the sum: what was taken, when the
// latest of it is due, and what is due at now.
func (s *schedule) pulse(now time.Duration) (taken uint64, latest time.Duration, due uint64) {
	due = s.tick(now)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.crowd != nil {
		due = s.seq
	}
	return s.seq, s.ahead.Due, due
}

// tick counts what has become due by the law: nothing where there is none.
func (s *schedule) tick(now time.Duration) uint64 {
	s.dueMu.Lock()
	defer s.dueMu.Unlock()
	for s.dueMore && s.dueHead <= now {
		s.dueCount++
		_, s.dueHead, s.dueMore = s.due.next()
	}
	return s.dueCount
}

// scheduled is the number of calls given out in a phase, by op.
func (s *schedule) scheduled(phase int) map[Op]uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[Op]uint64{}
	for op, n := range s.taken[phase] {
		all[op] = *n
	}
	return all
}

// cursor walks the arrivals of a plan.
type cursor struct {
	plan     Plan
	phase    int
	start    time.Duration // of the phase
	arrivals Arrivals
}

// next is the phase and due time of the next arrival.
func (c *cursor) next() (phase int, due time.Duration, ok bool) {
	for c.phase < len(c.plan.Phases) {
		p := c.plan.Phases[c.phase]
		if c.arrivals == nil {
			c.arrivals = p.Law.Arrivals(mix(c.plan.Seed^mix(uint64(c.phase))), p.For)
		}
		if at, ok := c.arrivals(); ok {
			return c.phase, c.start + at, true
		}
		c.phase++
		c.start += p.For
		c.arrivals = nil
	}
	return 0, 0, false
}

package loadgen

import "time"

// Repeater is a Workload whose customers ask again when they do not know what
// became of a call.
type Repeater interface {
	Workload
	// Repeat sees how a call ended, with an answer or without, and its
	// verdict; tries is how often it was sent. If it is to be sent again, as
	// it is, the pause says how long after its end. Like Judge it may be
	// called from several goroutines.
	Repeat(c *Call, r *Reply, v Verdict, tries int) (pause time.Duration, again bool)
}

// repeat makes c the same call once more, if its customer asks again. The
// attempt is the same: its times count from when it was due at first.
func (s sink) repeat(c *Call, r *Reply, v Verdict) bool {
	rep, ok := s.r.cfg.Workload.(Repeater)
	if !ok || r.Failure >= NotSent { // the load or the engine has no more time for it
		return false
	}
	c.tries++
	pause, again := rep.Repeat(c, r, v, c.tries)
	if !again {
		return false
	}
	if c.first < 0 {
		c.first = r.Sent
	}
	c.Due = r.Done + pause
	c.further, c.goesOn = true, true
	s.r.recorder.repeat(c)
	return true
}

// repeat counts a call that is sent again.
func (r *recorder) repeat(c *Call) {
	s := &r.shards[c.Seq%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.op(c).Repeats++
}

// underWay is the verdict on an attempt of which something was sent and that
// came to nothing later: to say that it never was would be a lie.
func underWay(f Failure, v Verdict) Verdict {
	switch {
	case f == Stopped || f == Withdrawn:
		return Unfinished.Verdict()
	case v.Outcome == Dropped:
		return TimedOut.Verdict()
	}
	return v
}

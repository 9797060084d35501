package loadgen

import "time"

// Pulse is how the load goes, in counts that only grow. It costs little: it
// is there to be read many times a second.
type Pulse struct {
	At    time.Duration // from the start of the plan
	Phase int           // as in a Snapshot

	Due    uint64        // by the clock
	Taken  uint64        // by the engine, one per loop ahead of its time
	Latest time.Duration // when the latest of those is due

	Settled uint64
	Sent    uint64
	Late    uint64 // left later than Config.MaxSlip although a connection was free
	Waited  uint64 // waited for a connection for longer than that
	Dropped uint64 // never sent for want of one
}

// settle counts what became of one call.
func (p *Pulse) settle(c *Call, r *Reply, limit time.Duration) {
	p.Settled++
	switch {
	case r.Sent >= 0:
		p.Sent++
		if r.Sent-max(c.Due, r.Ready) > limit {
			p.Late++
		}
		if r.Ready-c.Due > limit {
			p.Waited++
		}
	case r.Failure == NotSent:
		p.Dropped++
	}
}

// Pulse says how the load goes. It may be called at any time.
func (r *Runner) Pulse() Pulse {
	p := Pulse{Phase: -1, At: -1}
	start := r.start.Load()
	if start == nil || r.schedule == nil {
		return p
	}
	for i := range r.recorder.shards {
		s := &r.recorder.shards[i]
		s.mu.Lock()
		p.Settled += s.pulse.Settled
		p.Sent += s.pulse.Sent
		p.Late += s.pulse.Late
		p.Waited += s.pulse.Waited
		p.Dropped += s.pulse.Dropped
		s.mu.Unlock()
	}
	// The clock after what is settled, as in Snapshot: nothing is settled that
	// was not due.
	p.At = time.Since(*start)
	p.Phase = r.cfg.Plan.At(p.At)
	p.Taken, p.Latest, p.Due = r.schedule.pulse(p.At)
	return p
}

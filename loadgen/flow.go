package loadgen

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Follower is a Workload whose attempts may take more than one request: a
// flow, each step of which depends on the answer to the one before.
type Follower interface {
	Workload
	// Follow sees a step that was answered, and its verdict. If the flow goes
	// on it makes c the next step and says how long after the answer that is
	// due. If not, the verdict it returns is that on the whole flow. Like
	// Judge it may be called from several goroutines.
	Follow(c *Call, r *Reply, v Verdict) (whole Verdict, pause time.Duration, goesOn bool)
}

// Flows is a Sink whose calls may go on after Done. An Engine asks after each
// Done; where the answer is true, c is another call, which it sends at c.Due
// over whatever connection is free then. When the load is stopped, those that
// wait are Withdrawn or Stopped like others.
type Flows interface {
	Sink
	GoesOn(c *Call) bool
}

// GoesOn says that c holds the next step of its flow.
func (s sink) GoesOn(c *Call) bool { return c.goesOn }

// StepReport times one step of an operation that is a flow. A step is due
// when the one before was answered, and so its own lateness shows nothing of
// what came before. Both clocks are needed: Response counts from when the
// whole flow was due.
type StepReport struct {
	Count    uint64 // answered or not
	Response *hdrhistogram.Histogram
	Service  *hdrhistogram.Histogram
}

// step does what Done does for a step of a flow. True means that it goes on;
// if not, the verdict is that on the whole.
func (s sink) step(f Follower, c *Call, r *Reply, v Verdict) (Verdict, bool) {
	if r.Sent >= 0 && c.first < 0 {
		c.first = r.Sent
	}
	s.r.recorder.step(c, r, v)
	if r.Failure == None {
		whole, pause, on := f.Follow(c, r, v)
		if on {
			c.Due = r.Done + pause
			c.further, c.goesOn, c.tries = true, true, 0
			return v, true
		}
		v = whole
	}
	if c.further {
		v = underWay(r.Failure, v)
	}
	return v, false
}

// step times one step of a flow, and the generator's lateness in sending it.
func (r *recorder) step(c *Call, reply *Reply, v Verdict) {
	s := &r.shards[c.Seq%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	op := s.op(c)
	if reply.Sent < 0 || !r.plan.Phases[c.Phase].Record {
		return
	}
	st := op.Steps[c.Step]
	if st == nil {
		st = &StepReport{}
		op.Steps[c.Step] = st
	}
	st.Count++
	if v.Outcome != Error && v.Outcome != Rejected {
		observe(&st.Response, reply.Done-c.Planned)
		observe(&st.Service, reply.Done-reply.Sent)
	}
	observe(&op.Slip, reply.Sent-max(c.Due, reply.Ready))
}

// merge adds what another shard holds.
func (st *StepReport) merge(from *StepReport) {
	st.Count += from.Count
	for _, pair := range [][2]*hdrhistogram.Histogram{{st.Response, from.Response}, {st.Service, from.Service}} {
		if pair[1] != nil {
			pair[0].Merge(pair[1])
		}
	}
}

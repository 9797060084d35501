package loadgen

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Report is what became of a run.
type Report struct {
	Start   time.Time
	End     time.Duration // when the last attempt was settled, from Start
	Stopped bool          // before the end of the plan
	Phases  []PhaseReport
}

// PhaseReport is one phase. Attempts belong to the phase in which they were
// due. Start and End are the planned edges, or those that a stop left.
type PhaseReport struct {
	Name       string
	Start, End time.Duration
	Recorded   bool
	Ops        map[Op]*OpReport
}

// OpReport is one operation in one phase. The histograms are never nil; they
// are empty where the phase is not recorded. They hold microseconds, 1 us to
// 10 min, to 3 digits.
//
// Response and Service hold answers that were ok. Timeouts, unfinished and
// dropped attempts stand in Response with the time that they had waited: a
// lower bound, because to leave them out would make a stall look short.
// Errors and rejections are counted, not timed: they are quick, and would
// make a broken system look fast.
type OpReport struct {
	Counts      Counts
	Queued      uint64            // sent late because no connection was free when it was due
	Repeats     uint64            // sent again, by customers who did not know what became of them
	LowerBounds uint64            // of the times in Response, those of attempts that were not answered
	Reasons     map[string]uint64 // why attempts were not ok
	Examples    map[string]string // by reason, the first error in full

	Steps map[string]*StepReport // of an operation that is a flow

	Response *hdrhistogram.Histogram // from due to done
	Service  *hdrhistogram.Histogram // from sent to done
	Slip     *hdrhistogram.Histogram // from due, or a free connection if that was later, to sent: the generator's own lateness
}

// Total is the account of a phase over all operations.
func (p PhaseReport) Total() Counts {
	var sum Counts
	for _, op := range p.Ops {
		sum = sum.Plus(op.Counts)
	}
	return sum
}

// Total is the account of the whole run.
func (r *Report) Total() Counts {
	var sum Counts
	for _, p := range r.Phases {
		sum = sum.Plus(p.Total())
	}
	return sum
}

// Snapshot is a run in progress.
type Snapshot struct {
	At       time.Duration // from the start of the plan; negative before it
	Phase    int           // index; -1 before the first, the number of phases after the last
	Ops      map[Op]Counts // cumulative over all phases
	InFlight uint64        // with the engine, without an outcome yet; of an engine with several loops some may not be due
	Waiting  uint64        // due, and not taken by the engine: no connection is free
}

// Total is the account over all operations.
func (s Snapshot) Total() Counts {
	var sum Counts
	for _, c := range s.Ops {
		sum = sum.Plus(c)
	}
	return sum
}

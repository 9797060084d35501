// Package scenarios holds what a run is made of: the system, its traffic, the
// faults and the gates. Call Load with a path or the name of a scenario of
// the library; Library lists those.
//
// The invariant: a scenario that Load returns can be played. Whatever is
// wrong with it comes back as Problems, all of them at once, each with its
// place in the text. Nothing that stands in a file is ignored, and Resolved,
// loaded again, is the same scenario.
package scenarios

import (
	"fmt"
	"slices"
	"time"

	"github.com/ordbench/ordbench/loadgen"
	"github.com/ordbench/ordbench/reports/gate"
	"github.com/ordbench/ordbench/system"
)

// Scenario is one experiment.
type Scenario struct {
	Name        string
	Description string
	Seed        int64 // of arrivals, customers and baskets
	System      system.Config
	Traffic     Traffic
	Chaos       []Fault
	Nemesis     *Nemesis // nil: no fault is drawn
	HaltWhen    []Guard
	Gates       []gate.Gate

	Source   string // the path it came from, or "library:NAME"
	Resolved string // YAML with every default and override written out
	SHA256   string // of Resolved, in hex: equal sums are equal experiments
}

// Traffic is who sends what, and when.
type Traffic struct {
	Customers   int
	Connections int                // the most that are open at once
	Timeout     time.Duration      // of one attempt, from when it was due
	MaxSlip     time.Duration      // how late the generator itself may be at p99 before it, not the system, is measured
	Measure     string             // MeasureAll or MeasureBooks
	Mix         map[string]float64 // operation to its share of the arrivals; the shares add up to 1
	Retry       Retry
	Phases      []Phase
}

// What a run says, and so what makes it inconclusive. One that measures only
// its books is judged although the generator was the limit: that changes how
// much was asked and when, not what is true of what was asked.
const (
	MeasureAll   = "all"
	MeasureBooks = "books"
)

// Retry is how often a customer asks again, under the same key, who does not
// know what became of an order.
type Retry struct {
	Tries int           // in all; 1: never again
	After time.Duration // from the end of a try to the next
}

// The arrival laws of a phase.
const (
	ArrivalsConstant = "constant" // evenly along the rate
	ArrivalsPoisson  = "poisson"  // at random along the rate, seeded
	ArrivalsClosed   = "closed"   // as answers come: a closed loop of users
)

// Phase is a stretch of traffic.
type Phase struct {
	Name     string
	Rate     float64   // arrivals per second, at the start
	RateTo   float64   // at the end; equal to Rate unless the phase is a ramp
	Steps    []float64 // rates of equal parts of the phase, in place of Rate
	Sine     *loadgen.Sine
	Spike    *loadgen.Spike
	Trace    *Trace
	Users    int           // of a closed loop, in place of any rate
	Think    time.Duration // of a user, between an answer and the next attempt
	For      time.Duration
	Arrivals string // ArrivalsConstant, ArrivalsPoisson or ArrivalsClosed
	Record   bool   // false: counted, not timed (a warm-up)
}

// Trace is a file of arrivals.
type Trace struct {
	File     string // an absolute path, once it is read
	SHA256   string // of the file, in hex: another file is another experiment
	Arrivals loadgen.Trace
}

// Law is the arrival law of the phase.
func (p Phase) Law() loadgen.Law {
	switch {
	case p.Arrivals == ArrivalsClosed:
		return loadgen.Closed{Users: p.Users, Think: p.Think}
	case p.Trace != nil:
		return p.Trace.Arrivals
	}
	curve := p.curve()
	if p.Arrivals == ArrivalsPoisson {
		return loadgen.Poisson{Mean: curve}
	}
	return curve
}

func (p Phase) curve() loadgen.Curve {
	switch {
	case len(p.Steps) > 0:
		var steps loadgen.Steps
		for _, rate := range p.Steps {
			steps = append(steps, loadgen.Step{PerSecond: rate, For: p.For / time.Duration(len(p.Steps))})
		}
		return steps
	case p.Sine != nil:
		return *p.Sine
	case p.Spike != nil:
		return *p.Spike
	case p.Rate != p.RateTo:
		return loadgen.Ramp{From: p.Rate, To: p.RateTo, Over: p.For}
	}
	return loadgen.Constant{PerSecond: p.Rate}
}

// At is a moment of the run: Offset after the start of a phase, or after the
// start of the first phase where Phase is "".
type At struct {
	Phase  string
	Offset time.Duration
}

// String is the moment as a scenario writes it: "spike+3s", "spike", "10s".
func (a At) String() string {
	switch {
	case a.Phase == "":
		return short(a.Offset)
	case a.Offset == 0:
		return a.Phase
	}
	return fmt.Sprintf("%s+%s", a.Phase, short(a.Offset))
}

// Plan is the traffic as the load generator takes it.
func (s *Scenario) Plan() loadgen.Plan {
	plan := loadgen.Plan{Seed: uint64(s.Seed)}
	for _, p := range s.Traffic.Phases {
		plan.Phases = append(plan.Phases, loadgen.Phase{Name: p.Name, Law: p.Law(), For: p.For, Record: p.Record})
	}
	return plan
}

// Moment is when At is, counted from the start of the first phase; false if
// there is no such phase.
func (s *Scenario) Moment(at At) (time.Duration, bool) {
	if at.Phase == "" {
		return at.Offset, true
	}
	i := slices.IndexFunc(s.Traffic.Phases, func(p Phase) bool { return p.Name == at.Phase })
	if i < 0 {
		return 0, false
	}
	return s.start(i) + at.Offset, true
}

// Length is how long the traffic lasts.
func (s *Scenario) Length() time.Duration { return s.start(len(s.Traffic.Phases)) }

// start is when phase i starts.
func (s *Scenario) start(i int) time.Duration {
	var sum time.Duration
	for _, p := range s.Traffic.Phases[:i] {
		sum += p.For
	}
	return sum
}

// defaults is the scenario that a file without a word describes; its phases
// and gates are up to the file.
func defaults() *Scenario {
	return &Scenario{
		Seed:   1,
		System: system.DefaultConfig(),
		Traffic: Traffic{
			Customers:   5000,
			Connections: 256,
			Timeout:     5 * time.Second,
			MaxSlip:     50 * time.Millisecond,
			Measure:     MeasureAll,
			Mix:         map[string]float64{"place_order": 0.8, "read_order": 0.2},
			Retry:       Retry{Tries: 1, After: 100 * time.Millisecond},
		},
	}
}

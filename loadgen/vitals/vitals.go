// Package vitals says whether a load generator can be believed: when the
// generator is the limit of a measurement, and when the system is. Call Watch
// beside a run of load; its Finding is the answer.
//
// The invariant: the system is called the limit only while the generator was
// well. Where both may be, it is the generator, which makes a run
// inconclusive rather than wrong.
package vitals

import (
	"context"
	"time"

	"github.com/ordbench/ordbench/loadgen"
)

// every is the time between two looks. Two make a limit, so that it is known
// well within a second of its onset.
const every = 100 * time.Millisecond

// Outcome says what a measurement was limited by.
type Outcome string

// The outcomes of a watch.
const (
	Valid            Outcome = "valid"
	GeneratorLimited Outcome = "generator_limited"
	SystemLimited    Outcome = "system_limited"
)

// Cause is what shows a limit.
type Cause string

// The causes.
const (
	Slip        Cause = "slip"        // calls left late, nobody knows why
	RunDelay    Cause = "run_delay"   // the engine waited for a processor
	Collector   Cause = "gc_pause"    // the world was stopped
	Standstill  Cause = "standstill"  // the whole process stood still
	LoopBusy    Cause = "loop_busy"   // the engine had no time left
	Connections Cause = "connections" // none was free: the system had not answered
)

// Config is what to watch.
type Config struct {
	Runner      *loadgen.Runner
	Plan        loadgen.Plan
	Connections int
	MaxSlip     time.Duration // how late an attempt may leave before somebody is the limit
	Told        func(Limit)   // of each limit when it is known; may be nil
}

// Limit is a stretch of time in which something was the limit. Times count
// from the start of the plan.
type Limit struct {
	Outcome Outcome
	Onset   time.Duration
	Known   time.Duration // when it was noticed
	Cause   Cause
	Detail  string // the cause in words

	stood  bool // connections were free, and what was due was not sent
	masked bool // none was free, maybe only because the generator was ill
}

// Finding is what was found over the recorded phases of a run.
type Finding struct {
	Outcome   Outcome
	Reason    string        // "" if valid
	Onset     time.Duration // of the first such limit; -1 if valid
	Known     time.Duration
	Generator time.Duration // for how long the generator was the limit
	System    time.Duration // for how long the system was
	Causes    []Cause       // what spoke for the outcome
	Worst     Signs         // the worst of each sign
}

// Signs are the vital signs of a generator over a stretch of time, as shares
// of it.
type Signs struct {
	Delay float64       // a thread of the engine was ready to run and was not running
	Busy  float64       // it was running
	CPU   float64       // all threads of the process ran, in cores
	Pause time.Duration // the collector, or anything else, had stopped the world
}

// Watch looks at a run of load until ctx ends.
func Watch(ctx context.Context, cfg Config) Finding {
	j := newJudge(cfg)
	reader := newReader()
	reader.read() // the first only begins a stretch
	began := time.Now()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return j.finding()
		case <-tick.C:
		}
		now := time.Now()
		limit, found := j.look(sample{pulse: cfg.Runner.Pulse(), signs: reader.read(), took: now.Sub(began)})
		began = now
		if found && cfg.Told != nil {
			cfg.Told(limit)
		}
	}
}

package gate

import (
	"fmt"

	"github.com/ordbench/ordbench/reports"
)

// scope is where a metric is read.
type scope struct {
	*reports.Result
	phase, fault string
	parts        []string // what the wildcards of the metric's pattern stand for
}

// reading is what a metric measured.
type reading struct {
	value   float64
	samples uint64 // behind the value
	missing string // why there is no value
	doubt   string // why the value does not suffice for a pass
	atLeast bool   // the value is only a lower bound
}

func missing(format string, args ...any) reading {
	return reading{missing: fmt.Sprintf(format, args...)}
}

// latency reads the distribution of one operation.
func latency(clock string, value func(reports.Latency) float64) func(scope) reading {
	return func(s scope) reading {
		return distribution(s.Latency, s.parts[0], s.phase, clock, value)
	}
}

func completion(value func(reports.Latency) float64) func(scope) reading {
	return func(s scope) reading {
		return distribution(s.Completion, "", s.phase, reports.CompletionClock, value)
	}
}

func distribution(all []reports.Latency, op, phase, clock string, value func(reports.Latency) float64) reading {
	for _, l := range all {
		if (op != "" && l.Op != op) || l.Phase != phase || l.Clock != clock {
			continue
		}
		if l.Count == 0 {
			break
		}
		return reading{value: value(l), samples: l.Count}
	}
	what := clock + " time"
	if op != "" {
		what = op
	}
	if phase != "" {
		return missing("no %s was measured in phase %s", what, phase)
	}
	return missing("no %s was measured", what)
}

// orders reads a count of the ledger against the books. It is in doubt as
// long as the invariant behind it is.
func orders(value func(reports.Orders) uint64, invariant string) func(scope) reading {
	return func(s scope) reading {
		if len(s.Invariants) == 0 {
			return missing("the books were not audited")
		}
		if s.Orders.Attempted == 0 {
			return missing("no order was attempted")
		}
		r := reading{value: float64(value(s.Orders)), samples: s.Orders.Attempted}
		for _, i := range s.Invariants {
			if i.ID == invariant && i.Outcome == reports.Unknown {
				r.doubt = i.Detail
			}
		}
		return r
	}
}

// counts adds up the phases of the scope.
func (s scope) counts(op string) (sum reports.Counts, seconds float64, problem string) {
	found := false
	for _, p := range s.Phases {
		if s.phase != "" && p.Name != s.phase || s.phase == "" && !p.Recorded {
			continue
		}
		found = true
		c := p.Counts
		if op != "" {
			c = p.Ops[op]
		}
		sum.Scheduled += c.Scheduled
		sum.OK += c.OK
		sum.Rejected += c.Rejected
		sum.Error += c.Error
		sum.Timeout += c.Timeout
		sum.Dropped += c.Dropped
		sum.Unfinished += c.Unfinished
		seconds += float64(p.EndMS-p.StartMS) / 1000
	}
	switch {
	case !found && s.phase != "":
		problem = fmt.Sprintf("phase %s was not played", s.phase)
	case !found:
		problem = "no recorded phase was played"
	case sum.Scheduled == 0:
		problem = "nothing was scheduled"
	case seconds <= 0:
		problem = "the phase has no length"
	}
	return sum, seconds, problem
}

func outcomeRate(value func(reports.Counts) uint64) func(scope) reading {
	return func(s scope) reading {
		c, _, problem := s.counts("")
		if problem != "" {
			return missing("%s", problem)
		}
		return reading{value: float64(value(c)) / float64(c.Scheduled), samples: c.Scheduled}
	}
}

func outcomeCount(value func(reports.Counts) uint64) func(scope) reading {
	return func(s scope) reading {
		c, _, problem := s.counts("")
		if problem != "" {
			return missing("%s", problem)
		}
		return reading{value: float64(value(c)), samples: c.Scheduled}
	}
}

func throughput(s scope) reading {
	op := ""
	if len(s.parts) > 0 {
		op = s.parts[0]
	}
	c, seconds, problem := s.counts(op)
	if problem != "" {
		return missing("%s", problem)
	}
	return reading{value: float64(c.OK) / seconds, samples: c.Scheduled}
}

// ofPeak compares the goodput of the scope with that of the best phase that was
// recorded. One phase alone is its own peak, which says nothing.
func ofPeak(s scope) reading {
	own := throughput(s)
	if own.missing != "" {
		return own
	}
	var peak float64
	recorded := 0
	for _, p := range s.Phases {
		if !p.Recorded {
			continue
		}
		recorded++
		s.phase = p.Name
		peak = max(peak, throughput(s).value)
	}
	switch {
	case recorded < 2:
		return missing("no other phase was recorded")
	case peak == 0:
		return missing("nothing was answered ok")
	}
	return reading{value: own.value / peak, samples: own.samples}
}

func offered(s scope) reading {
	c, seconds, problem := s.counts("")
	if problem != "" {
		return missing("%s", problem)
	}
	return reading{value: float64(c.Scheduled) / seconds, samples: c.Scheduled}
}

func slip(value func(reports.Validity) float64) func(scope) reading {
	return func(s scope) reading {
		var scheduled uint64
		for _, p := range s.Phases {
			scheduled += p.Counts.Scheduled
		}
		if scheduled == 0 {
			return missing("nothing was scheduled")
		}
		return reading{value: value(s.Validity), samples: scheduled}
	}
}

func invariantsBroken(s scope) reading {
	if len(s.Invariants) == 0 {
		return missing("the books were not audited")
	}
	r := reading{samples: uint64(len(s.Invariants))}
	for _, i := range s.Invariants {
		switch i.Outcome {
		case reports.Broken:
			r.value++
		case reports.Unknown:
			r.doubt = i.ID + ": " + i.Detail
		}
	}
	return r
}

func runTime(value func(reports.Run) int64) func(scope) reading {
	return func(s scope) reading {
		ms := value(s.Run)
		if ms < 0 {
			return missing("it did not end")
		}
		return reading{value: float64(ms), samples: 1}
	}
}

// tracesComplete is missing where nothing was traced: unknown never passes.
func tracesComplete(s scope) reading {
	switch {
	case s.Traces == nil:
		return missing("the system was not traced")
	case s.Traces.Orders == 0:
		return missing("no order was traced")
	}
	return reading{value: s.Traces.CompleteShare, samples: s.Traces.Orders}
}

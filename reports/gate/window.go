package gate

import (
	"fmt"
	"math"

	"github.com/ordbench/ordbench/reports"
)

// window is a span of the run, in ms; end is exclusive.
type window struct{ start, end int64 }

func (w window) holds(atMS int64) bool { return atMS >= w.start && atMS < w.end }

// window is the span that the scope names: a phase, everything since a
// fault, or the whole run.
func (s scope) window() (w window, problem string) {
	if s.phase != "" {
		for _, p := range s.Phases {
			if p.Name == s.phase {
				return window{p.StartMS, p.EndMS}, ""
			}
		}
		return window{}, fmt.Sprintf("phase %s was not played", s.phase)
	}
	if s.fault != "" {
		f, problem := s.proven(s.fault)
		return window{f.Observed.StartMS, math.MaxInt64}, problem
	}
	return window{math.MinInt64, math.MaxInt64}, ""
}

// proven finds a fault that had its effect.
func (s scope) proven(name string) (f reports.Fault, problem string) {
	for _, f := range s.Faults {
		if f.Name != name {
			continue
		}
		if !f.Effective {
			return f, fmt.Sprintf("fault %s had no proven effect", name)
		}
		return f, ""
	}
	return f, fmt.Sprintf("fault %s was not injected", name)
}

// consumers are the groups of the scope: the one named, or all.
func (s scope) consumers() []reports.Consumer {
	if len(s.parts) == 0 {
		return s.Consumers
	}
	for _, c := range s.Consumers {
		if c.Group == s.parts[0] {
			return []reports.Consumer{c}
		}
	}
	return nil
}

func lagMax(s scope) reading {
	w, problem := s.window()
	if problem != "" {
		return missing("%s", problem)
	}
	var r reading
	for _, c := range s.consumers() {
		for _, p := range c.Lag {
			if w.holds(p.AtMS) {
				r.samples++
				r.value = max(r.value, float64(p.Total))
			}
		}
	}
	if r.samples == 0 {
		return missing("no lag was observed")
	}
	return r
}

// lagDrain reads how long the lag took to go. Where it did not go, the time
// it was watched is a lower bound.
func lagDrain(s scope) reading {
	if s.fault != "" {
		return faultTime(func(f reports.Fault) int64 { return f.LagDrainMS }, unended)(s)
	}
	consumers := s.consumers()
	if len(consumers) == 0 {
		return missing("no lag was observed")
	}
	var r reading
	for _, c := range consumers {
		if len(c.Lag) == 0 {
			return missing("no lag of %s was observed", c.Group)
		}
		r.samples += uint64(len(c.Lag))
		if c.DrainMS >= 0 {
			r.value = max(r.value, float64(c.DrainMS))
			continue
		}
		r.atLeast, r.doubt = true, c.Group+" did not drain"
		r.value = max(r.value, float64(c.Lag[len(c.Lag)-1].AtMS-s.endOfLoad()))
	}
	return r
}

func (s scope) endOfLoad() (ms int64) {
	for _, p := range s.Phases {
		ms = max(ms, p.EndMS)
	}
	return ms
}

// replicasMax reads the most replicas that were ready in the scope, those
// that were there when it began among them.
func replicasMax(s scope) reading {
	w, problem := s.window()
	if problem != "" {
		return missing("%s", problem)
	}
	var r reading
	for _, c := range s.consumers() {
		for i, p := range c.Replicas {
			lasts := i+1 == len(c.Replicas) || c.Replicas[i+1].AtMS > w.start
			if p.AtMS < w.end && lasts {
				r.samples++
				r.value = max(r.value, float64(p.Ready))
			}
		}
	}
	if r.samples == 0 {
		return missing("no replicas were observed")
	}
	return r
}

func breakerTrips(s scope) reading {
	w, problem := s.window()
	if problem != "" {
		return missing("%s", problem)
	}
	if len(s.Breakers) == 0 {
		return missing("no breaker was observed")
	}
	r := reading{samples: uint64(len(s.Breakers))}
	for _, b := range s.Breakers {
		if s.phase == "" {
			r.value += float64(b.Trips)
			continue
		}
		for _, t := range b.Transitions {
			if t.To == "open" && w.holds(t.AtMS) {
				r.value++
			}
		}
	}
	return r
}

// What -1 in a time of a fault means.
const (
	unseen  = false // it was not seen: nothing is known
	unended = true  // it did not end while it was watched: that is a lower bound
)

// faultTime reads a time of one fault, or the longest of all.
func faultTime(value func(reports.Fault) int64, isBound bool) func(scope) reading {
	return func(s scope) reading {
		names := []string{s.fault}
		if s.fault == "" {
			names = nil
			for _, f := range s.Faults {
				names = append(names, f.Name)
			}
		}
		if len(names) == 0 {
			return missing("no fault was injected")
		}
		var r reading
		for _, name := range names {
			f, problem := s.proven(name)
			if problem != "" {
				return missing("%s", problem)
			}
			r.samples++
			ms := value(f)
			if ms >= 0 {
				r.value = max(r.value, float64(ms))
				continue
			}
			if !isBound {
				return missing("the effect of %s was not seen", name)
			}
			watched := s.watched(f)
			if watched < 0 {
				return missing("fault %s has no end", name)
			}
			r.atLeast, r.doubt = true, "not over when the run ended, after "+name
			r.value = max(r.value, float64(watched))
		}
		return r
	}
}

// watched is how long the system was observed after a fault; -1 if the fault
// has no end.
func (s scope) watched(f reports.Fault) int64 {
	if f.Observed.EndMS < 0 {
		return -1
	}
	last := s.endOfLoad()
	if n := len(s.Series.TMS); n > 0 {
		last = max(last, s.Series.TMS[n-1])
	}
	return max(0, last-f.Observed.EndMS)
}

func faultsEffective(s scope) reading {
	var r reading
	for _, f := range s.Faults {
		if s.fault != "" && f.Name != s.fault {
			continue
		}
		r.samples++
		if f.Effective {
			r.value++
		}
	}
	switch {
	case r.samples == 0 && s.fault != "":
		return missing("fault %s was not injected", s.fault)
	case r.samples == 0:
		return missing("no fault was injected")
	}
	r.value /= float64(r.samples)
	return r
}

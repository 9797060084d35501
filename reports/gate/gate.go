// Package gate judges thresholds over a Result. Call Known to check the name
// of a metric, Judge to measure gates.
//
// The invariant: what was not measured is unknown, and never passes.
package gate

import (
	"fmt"
	"math"

	"github.com/ordbench/ordbench/reports"
)

// Gate is one threshold of a scenario. Min and Max are inclusive and in the
// unit of the metric; nil does not bound.
type Gate struct {
	ID         string   `json:"id"`
	Metric     string   `json:"metric"`
	During     string   `json:"during,omitempty"` // a phase; "" is all recorded phases
	After      string   `json:"after,omitempty"`  // a fault; "" is the run, or the worst of all faults
	Min        *float64 `json:"min"`
	Max        *float64 `json:"max"`
	MinSamples uint64   `json:"min_samples,omitempty"` // fewer make the gate unknown
	Line       int      `json:"line"`
}

// The outcomes of a gate.
const (
	Pass    = "pass"
	Fail    = "fail"
	Unknown = "unknown"
)

// Judge measures each gate on the result.
func Judge(gates []Gate, r *reports.Result) []reports.GateResult {
	results := make([]reports.GateResult, len(gates))
	for i, g := range gates {
		results[i] = g.judge(r)
	}
	return results
}

func (g Gate) judge(r *reports.Result) reports.GateResult {
	out := reports.GateResult{
		ID: g.ID, Metric: g.Metric, During: g.During, After: g.After, Line: g.Line, Outcome: Unknown,
	}
	m, ok := find(g.Metric)
	if !ok {
		out.Detail = fmt.Sprintf("no such metric; the nearest is %s", nearestTo(g.Metric))
		return out
	}
	out.Unit, out.Bound = m.Unit, g.bound(m)
	if problem := g.misplaced(m); problem != "" {
		out.Detail = problem
		return out
	}
	read := m.read(scope{Result: r, phase: g.During, fault: g.After, parts: m.parts})
	if read.missing != "" || math.IsNaN(read.value) || math.IsInf(read.value, 0) {
		out.Detail = read.missing
		if out.Detail == "" {
			out.Detail = "nothing was measured"
		}
		return out
	}
	out.Value = &read.value
	within := (g.Min == nil || read.value >= *g.Min) && (g.Max == nil || read.value <= *g.Max)
	switch {
	case read.atLeast && g.Max != nil && read.value > *g.Max:
		out.Outcome, out.Detail = Fail, read.doubt
	case read.atLeast:
		out.Detail = read.doubt
	case read.samples < g.MinSamples:
		out.Detail = fmt.Sprintf("%d samples, %d asked for", read.samples, g.MinSamples)
	case !within:
		out.Outcome = Fail
	case read.doubt != "":
		out.Detail = read.doubt
	default:
		out.Outcome = Pass
	}
	return out
}

// bound renders the threshold, "<= 250ms".
func (g Gate) bound(m Metric) string {
	switch {
	case g.Min != nil && g.Max != nil:
		return m.Format(*g.Min) + " .. " + m.Format(*g.Max)
	case g.Max != nil:
		return "<= " + m.Format(*g.Max)
	case g.Min != nil:
		return ">= " + m.Format(*g.Min)
	}
	return ""
}

func (g Gate) misplaced(m Metric) string {
	switch {
	case g.Min == nil && g.Max == nil:
		return "the gate has neither min nor max"
	case g.During != "" && g.After != "":
		return "during and after exclude each other"
	case g.During != "" && !m.During:
		return g.Metric + " is not measured by phase"
	case g.After != "" && !m.After:
		return g.Metric + " is not measured by fault"
	}
	return ""
}

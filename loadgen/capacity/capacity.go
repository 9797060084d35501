// Package capacity searches for the highest load that a system holds. Call
// Next for the load to try, as a factor of the one that was planned, and Seen
// with what became of it, until Next has none.
//
// The invariant: what is called held has held each time that it was tried,
// and the edge was tried more than once.
package capacity

import (
	"maps"
	"math"
	"slices"
)

// Search is one search. It is pure: runs are up to the caller.
type Search struct {
	Precision float64 // how near the lowest load that failed is to the highest that held, as a ratio; 1.1
	Repeats   int     // how often both are tried
	Least     float64 // factors are from here
	Most      float64 // to here

	tried map[float64]*Tally
}

// Tally is what was seen at one factor.
type Tally struct{ Runs, Held int }

// Failed says that a load did not hold each time.
func (t Tally) Failed() bool { return t.Held < t.Runs }

// New searches to a tenth, with three runs on both sides of the edge.
func New() *Search { return &Search{Precision: 1.1, Repeats: 3, Least: 1.0 / 64, Most: 1024} }

// Seen takes the outcome of a run.
func (s *Search) Seen(factor float64, held bool) {
	if s.tried == nil {
		s.tried = map[float64]*Tally{}
	}
	t := s.tried[factor]
	if t == nil {
		t = &Tally{}
		s.tried[factor] = t
	}
	t.Runs++
	if held {
		t.Held++
	}
}

// Edge is the highest factor that held, below every one that failed, and the
// lowest that failed; 0 where there is none.
func (s *Search) Edge() (held, failed float64) {
	for _, f := range slices.Sorted(maps.Keys(s.tried)) {
		if s.tried[f].Failed() {
			return held, f
		}
		held = f
	}
	return held, 0
}

// At is what was seen at a factor.
func (s *Search) At(factor float64) Tally {
	if t := s.tried[factor]; t != nil {
		return *t
	}
	return Tally{}
}

// Next is the factor to try next; false when the edge is known.
func (s *Search) Next() (factor float64, ok bool) {
	held, failed := s.Edge()
	switch {
	case len(s.tried) == 0:
		return 1, true
	case held == 0 && failed/2 < s.Least:
		return 0, false // nothing holds
	case held == 0:
		return failed / 2, true
	case failed == 0 && held < s.Most:
		return min(held*2, s.Most), true
	case failed > 0 && failed/held > s.Precision*(1+1e-9):
		return math.Sqrt(held * failed), true
	}
	// The edge is narrow. A load that held by luck, tried again, lowers it;
	// what failed is tried again to say how often it does.
	if s.At(held).Runs < s.Repeats {
		return held, true
	}
	if failed > 0 && s.At(failed).Runs < s.Repeats {
		return failed, true
	}
	return 0, false
}

// Confidence is the share of runs that the highest load holds in at least, at
// a level of 0.95: what is left if all of n runs held.
func Confidence(runs int) float64 {
	if runs == 0 {
		return 0
	}
	return math.Pow(0.05, 1/float64(runs))
}

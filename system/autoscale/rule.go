// Package autoscale decides how many replicas a consumer gets: make a Scaler
// from a Rule and ask Decide at every poll. It knows no clock and no system;
// what it decides follows from what it was told.
//
// The invariant: the answer lies within the rule's bounds, goes up at once
// but in limited steps, and goes down only when no wish of the window asked
// for more.
package autoscale

import (
	"slices"
	"time"
)

// Rule is a ScaledObject on consumer lag with the default behaviour of the
// horizontal autoscaler, without the latter's tolerance of 10%.
type Rule struct {
	Min, Max  int
	Threshold int64 // messages of lag per replica, more than 0
	// StabilizationWindow is how long a wish for more replicas holds
	// against later wishes for fewer.
	StabilizationWindow time.Duration
}

// Wish is how many replicas the lag of the partitions asks for now. Lag
// beyond a threshold per partition counts no more, since a partition feeds
// one consumer only.
func (r Rule) Wish(lag []int64) int {
	var total int64
	for _, l := range lag {
		total += max(l, 0)
	}
	if bound := int64(len(lag)); total/r.Threshold > bound {
		total = bound * r.Threshold
	}
	replicas := (total + r.Threshold - 1) / r.Threshold
	return int(min(max(replicas, int64(r.Min)), int64(r.Max)))
}

// limit is the most replicas that one decision may lead to.
func (r Rule) limit(current int) int { return max(2*current, 4) }

// Scaler applies a Rule over time. It is not safe for concurrent use.
type Scaler struct {
	Rule   Rule
	wishes []wish // within the window, oldest first
}

type wish struct {
	at       time.Time
	replicas int
}

// Decide returns how many replicas there should be, given the lag of each
// partition and how many there are meant to be now.
func (s *Scaler) Decide(now time.Time, lag []int64, current int) int {
	wanted := s.Rule.Wish(lag)
	oldest := now.Add(-s.Rule.StabilizationWindow)
	s.wishes = slices.DeleteFunc(s.wishes, func(w wish) bool { return w.at.Before(oldest) })
	s.wishes = append(s.wishes, wish{now, wanted})
	if wanted >= current {
		return min(wanted, s.Rule.limit(current))
	}
	highest := wanted
	for _, w := range s.wishes {
		highest = max(highest, w.replicas)
	}
	return min(max(highest, s.Rule.Min), max(current, s.Rule.Min), s.Rule.Max)
}

package loadgen

import "time"

// Spike is an even rate with one jump: at At it rises to Peak, stays there for
// Hold, and falls back. Rise and Fall may be 0.
type Spike struct {
	Base, Peak       float64 // per second
	At               time.Duration
	Rise, Hold, Fall time.Duration
}

// Expected is the integral of the rate.
func (s Spike) Expected(t time.Duration) float64 {
	sum := 0.0
	for _, part := range s.parts() {
		if t <= part.Over {
			return sum + part.Expected(t)
		}
		sum += part.Expected(part.Over)
		t -= part.Over
	}
	return sum
}

// Due is the inverse of Expected.
func (s Spike) Due(n float64) time.Duration {
	if n <= 0 && s.Base > 0 {
		return 0
	}
	start := time.Duration(0)
	parts := s.parts()
	for i, part := range parts {
		// Up to the end, not including it, as in Steps.
		here := part.Expected(part.Over)
		if n < here || i == len(parts)-1 {
			if n <= 0 {
				return start
			}
			return later(start, part.Due(n))
		}
		n -= here
		start += part.Over
	}
	return Never
}

// Arrivals is regular along the curve.
func (s Spike) Arrivals(_ uint64, length time.Duration) Arrivals { return regular(s, length) }

// parts are the straight pieces of the curve, the last without an end.
func (s Spike) parts() [5]Ramp {
	return [5]Ramp{
		{s.Base, s.Base, s.At},
		{s.Base, s.Peak, s.Rise},
		{s.Peak, s.Peak, s.Hold},
		{s.Peak, s.Base, s.Fall},
		{s.Base, s.Base, Never},
	}
}

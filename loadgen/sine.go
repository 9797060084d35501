package loadgen

import (
	"math"
	"time"
)

// Sine swings between two rates and begins at the low one, as a day of
// customers does.
type Sine struct {
	Low, High float64 // per second
	Period    time.Duration
}

// Expected is the integral of the rate.
func (s Sine) Expected(t time.Duration) float64 {
	if s.Period <= 0 {
		return s.mean() * t.Seconds()
	}
	periods := t / s.Period // whole ones, so that no digits are lost far out
	rest := (t - periods*s.Period).Seconds()
	return float64(periods)*s.whole() + s.within(rest)
}

// Due is the inverse of Expected. It has no closed form: within a period the
// root is bracketed and found by Newton's method, which falls back on halving
// where it would leave the bracket.
func (s Sine) Due(n float64) time.Duration {
	if n <= 0 {
		return 0
	}
	if s.Period <= 0 {
		return seconds(n / s.mean())
	}
	periods := math.Floor(n / s.whole())
	if math.IsInf(periods, 0) || periods*s.Period.Seconds()*1e9 >= math.MaxInt64/2 {
		return Never
	}
	n -= periods * s.whole()
	low, high := 0.0, s.Period.Seconds()
	at := high / 2
	// Halving alone takes a day down to a picosecond within sixty steps.
	for range 60 {
		miss := s.within(at) - n
		if miss > 0 {
			high = at
		} else {
			low = at
		}
		if math.Abs(miss) < 1e-9 || high-low < 1e-10 {
			break
		}
		at -= miss / s.rate(at)
		if !(at > low && at < high) {
			at = (low + high) / 2
		}
	}
	return later(time.Duration(periods)*s.Period, seconds(at))
}

// Arrivals is regular along the curve.
func (s Sine) Arrivals(_ uint64, length time.Duration) Arrivals { return regular(s, length) }

func (s Sine) mean() float64 { return (s.Low + s.High) / 2 }

// whole is the number of arrivals in a period.
func (s Sine) whole() float64 { return s.mean() * s.Period.Seconds() }

// within is Expected in the first period.
func (s Sine) within(t float64) float64 {
	turn := 2 * math.Pi / s.Period.Seconds()
	return s.mean()*t - (s.High-s.Low)/2*math.Sin(turn*t)/turn
}

func (s Sine) rate(t float64) float64 {
	turn := 2 * math.Pi / s.Period.Seconds()
	return s.mean() - (s.High-s.Low)/2*math.Cos(turn*t)
}

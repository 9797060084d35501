package loadgen

import (
	"math"
	"time"
)

// Law says when attempts arrive. It is a pure value: times count from the
// start of its phase, and the same seed gives the same arrivals.
type Law interface {
	// Expected is the mean number of arrivals in [0, t).
	Expected(t time.Duration) float64
	// Arrivals yields the arrivals in [0, length), in order.
	Arrivals(seed uint64, length time.Duration) Arrivals
}

// Arrivals gives the next due time; false when there are no more.
type Arrivals func() (time.Duration, bool)

// Curve is a rate over time in closed form. As a Law it is regular: arrival
// n, counted from 0, is due when n arrivals are expected.
type Curve interface {
	Law
	// Due is when n arrivals are expected: the inverse of Expected. It is
	// Never if the curve does not reach n.
	Due(n float64) time.Duration
}

// Never is after the end of any phase.
const Never = time.Duration(math.MaxInt64)

// Constant is an even rate.
type Constant struct{ PerSecond float64 }

// Expected is the integral of the rate.
func (c Constant) Expected(t time.Duration) float64 { return c.PerSecond * t.Seconds() }

// Due is the inverse of Expected.
func (c Constant) Due(n float64) time.Duration { return seconds(n / c.PerSecond) }

// Arrivals is one arrival each 1/PerSecond, the first at 0.
func (c Constant) Arrivals(_ uint64, length time.Duration) Arrivals { return regular(c, length) }

// Ramp goes evenly From one rate To another, and holds it after Over.
type Ramp struct {
	From, To float64 // per second
	Over     time.Duration
}

// Expected is the integral of the rate.
func (r Ramp) Expected(t time.Duration) float64 {
	if t > r.Over {
		return r.Expected(r.Over) + r.To*(t-r.Over).Seconds()
	}
	s := t.Seconds()
	return s * (r.From + r.slope()*s/2)
}

// Due is the inverse of Expected.
func (r Ramp) Due(n float64) time.Duration {
	if n <= 0 {
		return 0
	}
	if whole := r.Expected(r.Over); n > whole {
		return later(r.Over, seconds((n-whole)/r.To))
	}
	// The root of slope/2 s² + From s = n, in the form that loses no digits
	// where slope is small.
	return seconds(2 * n / (r.From + math.Sqrt(max(0, r.From*r.From+2*r.slope()*n))))
}

// Arrivals is regular along the ramp.
func (r Ramp) Arrivals(_ uint64, length time.Duration) Arrivals { return regular(r, length) }

// slope is the change of the rate, per second per second.
func (r Ramp) slope() float64 {
	if r.Over <= 0 {
		return 0
	}
	return (r.To - r.From) / r.Over.Seconds()
}

// Steps is one even rate after the other; the last holds on.
type Steps []Step

// Step is an even rate for a while.
type Step struct {
	PerSecond float64
	For       time.Duration
}

// Expected is the integral of the rate.
func (s Steps) Expected(t time.Duration) float64 {
	sum := 0.0
	for i, step := range s {
		if t <= step.For || i == len(s)-1 {
			return sum + step.PerSecond*t.Seconds()
		}
		sum += step.PerSecond * step.For.Seconds()
		t -= step.For
	}
	return sum
}

// Due is the inverse of Expected.
func (s Steps) Due(n float64) time.Duration {
	start := time.Duration(0)
	for i, step := range s {
		// Up to the end, not including it: what is due at the edge belongs
		// to the next step with a rate.
		here := step.PerSecond * step.For.Seconds()
		if n < here || i == len(s)-1 {
			return later(start, seconds(n/step.PerSecond))
		}
		n -= here
		start += step.For
	}
	return Never
}

// Arrivals is regular within each step.
func (s Steps) Arrivals(_ uint64, length time.Duration) Arrivals { return regular(s, length) }

// regular yields arrival n of c when n arrivals are expected. Their number is
// the integral, rounded up: an arrival due exactly at the end is not in.
func regular(c Curve, length time.Duration) Arrivals {
	// The slack is for rates that binary fractions do not hold: 0.1/s for
	// 10 s is one arrival, not two.
	count := uint64(math.Ceil(c.Expected(length) - 1e-6))
	n := uint64(0)
	return func() (time.Duration, bool) {
		if n >= count {
			return 0, false
		}
		due := min(c.Due(float64(n)), length-1)
		n++
		return due, true
	}
}

// seconds is s as a Duration, Never where it has no end.
func seconds(s float64) time.Duration {
	if math.IsNaN(s) || s*1e9 >= math.MaxInt64 {
		return Never
	}
	return time.Duration(math.Round(s * 1e9))
}

// later is a + b without overflow.
func later(a, b time.Duration) time.Duration {
	if b > Never-a {
		return Never
	}
	return a + b
}

// Poisson has the rate of a Curve and no memory: gaps between arrivals are
// exponential, as those of independent customers are.
type Poisson struct{ Mean Curve }

// Expected is that of the curve.
func (p Poisson) Expected(t time.Duration) float64 { return p.Mean.Expected(t) }

// Arrivals draws gaps of mean 1 and bends them along the curve, which makes a
// Poisson process of any rate.
func (p Poisson) Arrivals(seed uint64, length time.Duration) Arrivals {
	rng := newRand(seed)
	n := 0.0
	return func() (time.Duration, bool) {
		n -= math.Log1p(-rng.Float64())
		due := p.Mean.Due(n)
		return due, due < length
	}
}

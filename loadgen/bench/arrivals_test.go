//go:build linux

package main

import (
	"math/rand/v2"
	"testing"
	"time"
)

// The test must pass what is exponential and see what is not.
func TestAndersonDarling(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	const rate, n = 1000, 5000
	for _, c := range []struct {
		name   string
		gap    func() float64 // in mean gaps
		passes bool
	}{
		{"exponential", rng.ExpFloat64, true},
		{"exponential, by a timer of a tenth of the mean", func() float64 { return float64(int(rng.ExpFloat64()*10)+1) / 10 }, false},
		{"even", func() float64 { return 0.95 + 0.1*rng.Float64() }, false},
		{"of another rate", func() float64 { return 1.1 * rng.ExpFloat64() }, false},
		{"none below a twentieth of the mean", func() float64 { return max(0.05, rng.ExpFloat64()) }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			at, times := 0.0, []time.Duration(nil)
			for range n {
				at += c.gap() / rate
				times = append(times, time.Duration(at*1e9))
			}
			if a := andersonDarling(times, rate); (a <= exponential) != c.passes {
				t.Errorf("A² %.3f, want it to pass: %v", a, c.passes)
			}
		})
	}
}

func TestSlope(t *testing.T) {
	for _, c := range []struct {
		ys   []int64
		want float64
	}{
		{[]int64{5, 5, 5, 5}, 0},
		{[]int64{1, 3, 5, 7}, 2},
		{[]int64{4, 3, 2, 1}, -1},
		{[]int64{0, 10, 0, 10, 0}, 0},
	} {
		if got := slope(c.ys); got < c.want-1e-9 || got > c.want+1e-9 {
			t.Errorf("slope of %v is %g, want %g", c.ys, got, c.want)
		}
	}
}

// The oracle is held to sums that one can do by hand.
func TestStallOracle(t *testing.T) {
	const second = time.Second
	for _, c := range []struct {
		name  string
		conns int
		due   []time.Duration
		want  []time.Duration // sorted
	}{
		{"before and behind it", 9, []time.Duration{0, 5 * second}, []time.Duration{service, service}},
		{"in it", 9, []time.Duration{second, 2 * second}, []time.Duration{second + service, 2*second + service}},
		{"begun before it", 9, []time.Duration{second - service/2}, []time.Duration{2*second + service/2}},
		{"one connection for two", 1, []time.Duration{second, second}, []time.Duration{2*second + service, 2*second + 2*service}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := oracle{from: second, to: 3 * second, conns: c.conns}
			for _, due := range c.due {
				o.add(due)
			}
			o.quantiles() // sorts
			for i, want := range c.want {
				if o.responses[i] != want {
					t.Errorf("responses %v, want %v", o.responses, c.want)
				}
			}
		})
	}
}

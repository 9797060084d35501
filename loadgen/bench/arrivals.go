//go:build linux

package main

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// exponential is the A² above which one in a hundred sets of exponential gaps
// lies.
const exponential = 3.857

// arrivals stamps poisson arrivals at a server that spins, and holds their gaps
// against the exponential law: A², after Anderson and Darling. The seed is
// fixed, so what varies is what engine, network and machine do to the law.
//
// What is late by a tenth of a millisecond bends gaps of two milliseconds, and
// not those of ten: net/http passes its calls from one goroutine to another,
// and is honest at rates at which that is nothing.
func (b *bench) arrivals() error {
	t := newTable("A²", "A² as drawn", "gaps")
	for range b.rounds {
		for _, c := range []struct {
			name, engine string
			rate         float64
		}{{"ordbench", "", 500}, {"ordbench on net/http", "net", 100}} {
			j := job{Law: "poisson", Rate: c.rate, For: max(b.length, 5*time.Second), Conns: conns, Workload: "numbered", Engine: c.engine}
			_, stamps, err := j.stamped(2 * int(c.rate*j.For.Seconds()))
			if err != nil {
				return err
			}
			var seen, drawn []time.Duration
			for _, s := range stamps {
				seen = append(seen, time.Duration(s.At))
			}
			for _, at := range j.plan().Arrivals() {
				drawn = append(drawn, at)
			}
			t.add(fmt.Sprintf("%s, %g/s", c.name, c.rate), andersonDarling(seen, c.rate), andersonDarling(drawn, c.rate), float64(len(seen)-1))
		}
	}
	fmt.Fprintf(b.out, "\nPoisson arrivals at the server, %d rounds; one in a hundred such processes has an A² above %g; median (range)\n", b.rounds, exponential)
	t.write(b.out)
	return nil
}

// andersonDarling is A² of the gaps between times, which should be exponential.
func andersonDarling(times []time.Duration, rate float64) float64 {
	slices.Sort(times)
	var gaps []float64 // in mean gaps
	for i, at := range times[1:] {
		gaps = append(gaps, max((at-times[i]).Seconds()*rate, 1e-9))
	}
	slices.Sort(gaps)
	sum, n := 0.0, len(gaps)
	for i, gap := range gaps {
		// The logarithm of the share of shorter gaps, and that of longer ones,
		// in a form that no gap is too long for.
		sum += float64(2*i+1) * (math.Log(-math.Expm1(-gap)) - gaps[n-1-i])
	}
	return -float64(n) - sum/float64(n)
}

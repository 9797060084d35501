//go:build linux

package main

import (
	"fmt"
	"slices"
	"time"
)

// idle is how far the median is from the truth, at rates at which machines
// fall asleep between requests and at one at which they do not. The truth is
// the median of the least client, at the same rate against the same
// server: what that does, and what the loopback adds.
func (b *bench) idle() error {
	const delay = time.Millisecond
	t := newTable("p50 us, less the delay", "off the truth", "slip p50 us", "% of a core")
	for range b.rounds {
		for _, rate := range []float64{10, 100, 1000, 10000} {
			length := b.length
			if rate < 100 {
				length = max(length, 5*time.Second)
			}
			calls := int(rate * length.Seconds())
			all, _, err := ping{Calls: calls, Every: time.Duration(1e9 / rate)}.run(0, "-delay", delay.String())
			if err != nil {
				return err
			}
			var took []float64
			for i, at := range all.Answered {
				took = append(took, float64(at-all.Sent[i]-int64(delay))/1e3)
			}
			slices.Sort(took)
			truth := quantile(took, 50)
			t.add(fmt.Sprintf("%g/s, the least client", rate), truth)
			j := job{Rate: rate, For: length, Conns: conns, Workload: "post"}
			d, _, err := j.stamped(0, "-delay", delay.String())
			if err != nil {
				return err
			}
			seen := float64(d.Response.P50 - delay.Microseconds())
			t.add(fmt.Sprintf("%g/s, ordbench", rate), seen, seen-truth, float64(d.Slip.P50), d.CPU.Seconds()/d.Took.Seconds()*100)
		}
	}
	fmt.Fprintf(b.out, "\nIdle bias, server with a delay of %v, %d rounds; median (range)\n", delay, b.rounds)
	t.write(b.out)
	return nil
}

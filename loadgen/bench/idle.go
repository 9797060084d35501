//go:build linux

package main

import (
	"fmt"
	"time"
)

// idle is how far the median is from the truth, a server's fixed delay, at
// rates at which machines fall asleep between requests and at one at which
// they do not.
func (b *bench) idle() error {
	const delay = time.Millisecond
	t := newTable("p50 us, less the delay", "% of a core")
	for range b.rounds {
		for _, rate := range []float64{10, 100, 1000, 10000} {
			j := job{Rate: rate, For: max(b.length, 5*time.Second), Conns: conns, Workload: "post"}
			d, _, err := j.stamped(0, "-delay", delay.String())
			if err != nil {
				return err
			}
			t.add(fmt.Sprintf("%g/s", rate), float64(d.Response.P50-delay.Microseconds()), d.CPU.Seconds()/d.Took.Seconds()*100)
		}
	}
	fmt.Fprintf(b.out, "\nIdle bias, server with a delay of %v, %d rounds; median (range)\n", delay, b.rounds)
	t.write(b.out)
	return nil
}

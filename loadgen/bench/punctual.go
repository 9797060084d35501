//go:build linux

package main

import (
	"fmt"
	"slices"
	"strconv"
	"time"
)

// punctual is how late requests arrive at the server, by its own clock, at
// 5,000 a second.
func (b *bench) punctual() error {
	const rate = 5000
	calls := rate * int(b.length.Seconds())
	t := newTable("p50 us", "p99 us", "p99.9 us", "% of a core")
	for range b.rounds {
		idle, least, err := b.sleepless(rate)
		if err != nil {
			return err
		}
		t.add("an idle loopback", quantile(idle, 50), quantile(idle, 99), quantile(idle, 99.9))
		t.add("the least client, never asleep", quantile(least, 50), quantile(least, 99), quantile(least, 99.9), 100)
		for _, law := range []string{"constant", "poisson"} {
			j := job{Law: law, Rate: rate, For: b.length, Conns: conns, Workload: "numbered"}
			d, stamps, err := j.stamped(calls * 2)
			if err != nil {
				return err
			}
			late := j.lateness(d, stamps)
			share := d.CPU.Seconds() / d.Took.Seconds() * 100
			t.add("ordbench, "+law, quantile(late, 50), quantile(late, 99), quantile(late, 99.9), share)
			t.add("  "+law+", less the loopback's median", quantile(late, 50)-quantile(idle, 50), quantile(late, 99)-quantile(idle, 50), quantile(late, 99.9)-quantile(idle, 50))
			t.add("  "+law+", more than the least client's", quantile(late, 50)-quantile(least, 50), quantile(late, 99)-quantile(least, 99), quantile(late, 99.9)-quantile(least, 99.9))
			if law == "constant" {
				even := uneven(stamps, rate)
				t.add("  constant, as if its start were unknown", quantile(even, 50), quantile(even, 99), quantile(even, 99.9), share)
			}
		}
		for _, r := range b.rivals {
			if r.name != "hey" && r.name != "oha" {
				continue // the others have no open loop, or none at this rate
			}
			s, err := start("-spin", "-stamps", strconv.Itoa(calls*2))
			if err != nil {
				return err
			}
			_, cpu, took, err := r.run(s.url, rate, b.length)
			stamps, stop := s.stop()
			if err != nil || stop != nil {
				return fmt.Errorf("%s: %w, %w", r.name, err, stop)
			}
			even := uneven(stamps, rate)
			t.add(r.name+", as if its start were unknown", quantile(even, 50), quantile(even, 99), quantile(even, 99.9), cpu.Seconds()/took.Seconds()*100)
		}
	}
	fmt.Fprintf(b.out, "\nPunctuality, from due to read at a server that spins, %d/s, %d rounds of %v; median (range)\n", rate, b.rounds, b.length)
	t.write(b.out)
	return nil
}

// stamped plays the job against a server that keeps stamps.
func (j job) stamped(most int, flags ...string) (done, []stamp, error) {
	s, err := start(append(flags, "-spin", "-stamps", strconv.Itoa(most))...)
	if err != nil {
		return done{}, nil, err
	}
	j.URL = s.url
	d, err := j.run()
	stamps, stop := s.stop()
	if err == nil {
		err = stop
	}
	return d, stamps, err
}

// lateness is how long after it was due each numbered request was read, in
// microseconds, sorted.
func (j job) lateness(d done, stamps []stamp) (late []float64) {
	var due []time.Duration
	for _, at := range j.plan().Arrivals() {
		due = append(due, at)
	}
	for _, s := range stamps {
		late = append(late, float64(s.At-d.Start-int64(due[s.Seq]))/1e3)
	}
	slices.Sort(late)
	return late
}

// uneven is how late requests were, in microseconds, by the even schedule on
// which the first hundredth of them was on time: so that a generator that does
// not say when it started is not blamed for that.
func uneven(stamps []stamp, rate float64) (late []float64) {
	for i, s := range stamps {
		late = append(late, (float64(s.At-stamps[0].At)-float64(i)*1e9/rate)/1e3)
	}
	slices.Sort(late)
	from := quantile(late, 1)
	for i := range late {
		late[i] -= from
	}
	return late
}

// sleepless is the least client, which at so many calls a second never sleeps:
// how long a request takes on a loopback from just before it is written until
// it is read, and how late it is read, from when it was due, in microseconds,
// sorted. The second is what the machine does to everybody, whoever it may be
// that keeps a processor waiting.
func (b *bench) sleepless(rate int) (took, late []float64, err error) {
	p := ping{Calls: rate * int(b.length.Seconds()), Every: time.Second / time.Duration(rate)}
	pings, stamps, err := p.run(p.Calls)
	if err != nil {
		return nil, nil, err
	}
	for _, s := range stamps {
		took = append(took, float64(s.At-pings.Sent[s.Seq])/1e3)
		late = append(late, float64(s.At-pings.Start-s.Seq*int64(p.Every))/1e3)
	}
	slices.Sort(took)
	slices.Sort(late)
	return took, late, nil
}

//go:build linux

package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	stallAt   = 13 * time.Second
	stallFor  = 2 * time.Second
	stallRun  = 30 * time.Second
	stallRate = 150
	service   = 20 * time.Millisecond
	// stagger is from the start of one case to that of the next: a server
	// that wakes has all at once to do what it has missed, and the others
	// must not have to wait for it.
	stagger = 3 * time.Second
)

// stall stops the server process for 2 s in 30 s and holds what the generator
// reports to what an open loop must see: the oracle gets the very schedule of
// the run, that of a seed where it is drawn, and the times at which the server
// was stopped and went on. All cases run side by side: the rates are low, and
// each has a server of its own. Their stops do not overlap.
func (b *bench) stall() error {
	t := newTable("p50 ms", "off %", "p99 ms", "off %", "p99.9 ms", "off %")
	worst := 0.0
	for range b.stalls {
		var (
			rows []*stalling
			all  sync.WaitGroup
		)
		for _, law := range strings.Split(b.laws, ",") {
			for _, n := range []int{1300, 16} {
				r := &stalling{job: job{Law: law, Rate: stallRate, For: stallRun, Conns: n, Workload: "post"}}
				begin := time.Duration(len(rows)) * stagger
				rows = append(rows, r)
				all.Go(func() {
					time.Sleep(begin)
					r.got, r.want, r.err = r.job.stalled()
				})
			}
		}
		all.Wait()
		for _, r := range rows {
			name := fmt.Sprintf("%s over %d connections", r.job.Law, r.job.Conns)
			if r.err != nil {
				return fmt.Errorf("%s: %w", name, r.err)
			}
			var line []float64
			for _, q := range [][2]int64{{r.got.P50, r.want.P50}, {r.got.P99, r.want.P99}, {r.got.P999, r.want.P999}} {
				off := 100 * float64(q[0]-q[1]) / float64(q[1])
				worst = max(worst, math.Abs(off))
				line = append(line, float64(q[0])/1e3, off)
			}
			t.add(name, line...)
		}
	}
	fmt.Fprintf(b.out, "\nStall oracle, server stopped for %v in %v at %d/s: what was seen, and how far that is from the analytic answer; %d rounds; median (range)\n", stallFor, stallRun, stallRate, b.stalls)
	t.write(b.out)
	fmt.Fprintf(b.out, "  at most %.2f%% off\n", worst)
	return nil
}

// stalling is one case and what came of it.
type stalling struct {
	job       job
	got, want quantiles
	err       error
}

// stalled plays the job against a server that is stopped for a while.
func (j job) stalled() (got, want quantiles, err error) {
	s, err := start("-delay", service.String())
	if err != nil {
		return got, want, err
	}
	var (
		from, to int64
		stopped  = make(chan error, 1)
	)
	go func() {
		time.Sleep(stallAt)
		from = monotonic()
		err := s.cmd.Process.Signal(syscall.SIGSTOP)
		time.Sleep(stallFor)
		to = monotonic()
		if cont := s.cmd.Process.Signal(syscall.SIGCONT); err == nil {
			err = cont
		}
		stopped <- err
	}()
	j.URL = s.url
	d, err := j.run()
	if stop := <-stopped; err == nil {
		err = stop
	}
	if _, stop := s.stop(); err == nil {
		err = stop
	}
	if err != nil {
		return got, want, err
	}
	o := oracle{from: time.Duration(from - d.Start), to: time.Duration(to - d.Start), conns: j.Conns}
	for _, due := range j.plan().Arrivals() {
		o.add(due)
	}
	return d.Response, o.quantiles(), nil
}

// oracle is the open loop in closed form: first come first served over the
// connections, by a server that takes its service time and stands still for a
// while.
type oracle struct {
	from, to  time.Duration
	conns     int
	free      []time.Duration // a heap is not worth it at these rates
	responses []time.Duration
}

func (o *oracle) add(due time.Duration) {
	if o.free == nil {
		o.free = make([]time.Duration, o.conns)
	}
	first := 0
	for i, at := range o.free {
		if at < o.free[first] {
			first = i
		}
	}
	begin := max(due, o.free[first])
	if begin >= o.from && begin < o.to {
		begin = o.to
	}
	end := begin + service
	if begin < o.from && end > o.from {
		end = max(end, o.to)
	}
	o.free[first] = end
	o.responses = append(o.responses, end-due)
}

func (o *oracle) quantiles() quantiles {
	slices.Sort(o.responses)
	us := make([]float64, len(o.responses))
	for i, d := range o.responses {
		us[i] = float64(d.Microseconds())
	}
	return quantiles{int64(quantile(us, 50)), int64(quantile(us, 99)), int64(quantile(us, 99.9))}
}

//go:build linux

package main

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"syscall"
	"time"
)

const (
	stallAt   = 13 * time.Second
	stallFor  = 2 * time.Second
	stallRun  = 30 * time.Second
	stallRate = 300
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
	type row struct {
		name string
		text string
		err  error
	}
	var (
		rows  []*row
		all   sync.WaitGroup
		worst float64
		mu    sync.Mutex
	)
	for _, law := range []string{"constant", "ramp", "poisson", "spike"} {
		for _, n := range []int{2500, 32} {
			r := &row{name: fmt.Sprintf("%s over %d connections", law, n)}
			rows = append(rows, r)
			begin := time.Duration(len(rows)-1) * stagger
			all.Go(func() {
				time.Sleep(begin)
				j := job{Law: law, Rate: stallRate, For: stallRun, Conns: n, Workload: "post"}
				var got, want quantiles
				if got, want, r.err = j.stalled(); r.err != nil {
					return
				}
				for _, q := range [][2]int64{{got.P50, want.P50}, {got.P99, want.P99}, {got.P999, want.P999}} {
					off := 100 * float64(q[0]-q[1]) / float64(q[1])
					r.text += fmt.Sprintf("  %7.1f %7.1f %+5.2f%%", float64(q[0])/1e3, float64(q[1])/1e3, off)
					mu.Lock()
					worst = max(worst, math.Abs(off))
					mu.Unlock()
				}
			})
		}
	}
	all.Wait()
	fmt.Fprintf(b.out, "\nStall oracle, server stopped for %v in %v at %d/s; in ms: seen, analytic, off\n", stallFor, stallRun, stallRate)
	fmt.Fprintf(b.out, "  %-32s  %-23s  %-23s  %-23s\n", "", "p50", "p99", "p99.9")
	for _, r := range rows {
		if r.err != nil {
			return fmt.Errorf("%s: %w", r.name, r.err)
		}
		fmt.Fprintf(b.out, "  %-32s%s\n", r.name, r.text)
	}
	fmt.Fprintf(b.out, "  at most %.2f%% off\n", worst)
	return nil
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

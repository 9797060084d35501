//go:build linux

package main

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// cost is requests per CPU-second of the generator: as fast as it can on one
// core, and paced at half of what wrk reaches with the whole of one.
func (b *bench) cost() error {
	t := newTable("1000 requests/s", "1000 requests per CPU-second", "of wrk's")
	for range b.rounds {
		s, err := start()
		if err != nil {
			return err
		}
		err = b.costRound(t, s.url)
		if _, stop := s.stop(); stop != nil {
			err = errors.Join(err, stop)
		}
		if err != nil {
			return err
		}
	}
	fmt.Fprintf(b.out, "\nCost, POST of %d bytes over %d connections, %d rounds of %v, alternating; median (range)\n", len(body), conns, b.rounds, b.length)
	t.write(b.out)
	return nil
}

func (b *bench) costRound(t *table, url string) error {
	wrk, half := math.NaN(), 40_000.0
	static := map[string]float64{} // requests per CPU-second, by engine
	add := func(name string, answers float64, cpu, took time.Duration) float64 {
		perCPU := answers / cpu.Seconds()
		if name == "wrk" {
			wrk, half = perCPU, perCPU/2
		}
		t.add(name, answers/took.Seconds()/1e3, perCPU/1e3, perCPU/wrk)
		return perCPU
	}
	ours := func(name string, j job) error {
		j.URL, j.Conns = url, conns
		d, err := j.run()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		perCPU := add(name, float64(d.Requests), d.CPU, d.Took)
		if j.Workload == "flows" {
			t.add("  of the static rate", math.NaN(), math.NaN(), perCPU/static[j.Engine])
		}
		if j.Workload == "post" && j.Rate == 1e9 {
			static[j.Engine] = perCPU
		}
		return nil
	}
	// All calls are due at once, in about as many as take the time of a round.
	unpaced := func(perSecond float64, j job) job {
		j.Rate, j.For = 1e9, time.Duration(perSecond*b.length.Seconds())
		return j
	}
	for _, r := range b.rivals {
		answers, cpu, took, err := r.run(url, 0, b.length)
		if err != nil {
			return err
		}
		add(r.name, answers, cpu, took)
		if r.name == "wrk" {
			// Its neighbour in time, so that the machine is the same.
			if err := ours("ordbench, paced at half of wrk", job{Workload: "post", Rate: half, For: b.length}); err != nil {
				return err
			}
			if err := ours("ordbench", unpaced(100e3, job{Workload: "post"})); err != nil {
				return err
			}
		}
	}
	if static[""] == 0 {
		if err := ours("ordbench", unpaced(100e3, job{Workload: "post"})); err != nil {
			return err
		}
	}
	for _, r := range []struct {
		name string
		job  job
	}{
		{"ordbench, orders and their ledger", unpaced(80e3, job{Workload: "orders"})},
		{"ordbench, flows", unpaced(30e3, job{Workload: "flows"})},
		{"ordbench on net/http", unpaced(20e3, job{Workload: "post", Engine: "net"})},
		{"ordbench on net/http, flows", unpaced(8e3, job{Workload: "flows", Engine: "net"})},
	} {
		if err := ours(r.name, r.job); err != nil {
			return err
		}
	}
	return nil
}

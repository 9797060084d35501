//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"

	"github.com/ordbench/ordbench/loadgen"
	"github.com/ordbench/ordbench/loadgen/shop"
	"github.com/ordbench/ordbench/loadgen/wire"
)

// body is what every generator of the comparison posts.
const body = `{"user_id":"user-000001","total":12.34,"sku":"sku-0001","count":1}.`

// job is one run of our generator, in a process of its own: through the same
// Runner and engine that every user gets.
type job struct {
	URL      string
	Law      string // "constant", "poisson", "ramp", "spike"
	Rate     float64
	For      time.Duration
	Conns    int
	Workload string // "post", "numbered", "orders" (the shop, with a ledger), "flows" (each an order and the question what became of it)
	Engine   string // "" picks the best, "net" is net/http
	Watch    bool   // the memory, each second
}

// done is what came of a job.
type done struct {
	Start         int64 // of the plan, CLOCK_MONOTONIC
	OK, Scheduled uint64
	Requests      uint64 // of flows one for each step
	Took          time.Duration
	CPU           time.Duration `json:"-"` // of the whole process
	Response      quantiles
	Slip          quantiles
	RSS           []int64 // KiB, each second
	PeakRSS       int64   // KiB
	Examples      map[string]string
}

// quantiles are in microseconds.
type quantiles struct{ P50, P99, P999 int64 }

func quantilesOf(h *hdrhistogram.Histogram) quantiles {
	return quantiles{h.ValueAtQuantile(50), h.ValueAtQuantile(99), h.ValueAtQuantile(99.9)}
}

// law is the arrivals of a job. Those of ramp and poisson have the rate for a mean.
func (j job) law() loadgen.Law {
	switch j.Law {
	case "ramp":
		return loadgen.Ramp{From: j.Rate / 2, To: j.Rate * 3 / 2, Over: j.For}
	case "poisson":
		return loadgen.Poisson{Mean: loadgen.Constant{PerSecond: j.Rate}}
	case "spike":
		return loadgen.Steps{
			{PerSecond: j.Rate / 2, For: j.For * 4 / 10}, {PerSecond: 2 * j.Rate, For: j.For * 2 / 10}, {PerSecond: j.Rate / 2, For: j.For},
		}
	}
	return loadgen.Constant{PerSecond: j.Rate}
}

// plan is the traffic of a job.
func (j job) plan() loadgen.Plan {
	return loadgen.Plan{Seed: 7, Phases: []loadgen.Phase{{Name: "load", Law: j.law(), For: j.For, Record: true}}}
}

// generate plays the job that stdin holds, and writes what came of it.
func generate() error {
	var j job
	if err := json.NewDecoder(os.Stdin).Decode(&j); err != nil {
		return err
	}
	d, err := j.play()
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(d)
}

func (j job) play() (d done, err error) {
	cfg := loadgen.Config{Plan: j.plan(), Workload: &post{numbered: j.Workload == "numbered"}}
	if j.Workload == "flows" {
		if cfg.Workload, err = shop.New(shop.Config{Seed: 7, Mix: map[loadgen.Op]float64{shop.FollowOrder: 1}}); err != nil {
			return d, err
		}
	}
	if j.Workload == "orders" {
		if cfg.Workload, err = shop.New(shop.Config{Seed: 7}); err != nil {
			return d, err
		}
		cfg.Ledger = loadgen.NewLedgerWriter(io.Discard)
	}
	target := wire.Config{BaseURL: j.URL, Connections: j.Conns, Timeout: 10 * time.Minute}
	cfg.Engine = wire.New(target)
	if j.Engine == "net" {
		cfg.Engine = wire.NewNetHTTP(target)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	watched := make(chan []int64, 1)
	go func() { watched <- j.watch(ctx) }()
	clock := newClock()
	report, err := loadgen.New(cfg).Run(ctx)
	if err != nil {
		return d, err
	}
	cancel()
	total := report.Total()
	d = done{
		Start: clock.absolute(report.Start.Sub(clock.start)),
		OK:    total.OK, Requests: total.OK, Scheduled: total.Scheduled, Took: time.Since(report.Start), RSS: <-watched,
	}
	for _, o := range report.Phases[0].Ops {
		if len(o.Steps) > 0 {
			d.Requests = 0
			for _, step := range o.Steps {
				d.Requests += step.Count
			}
		}
		d.Response, d.Slip, d.Examples = quantilesOf(o.Response), quantilesOf(o.Slip), o.Examples
	}
	var use unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &use); err != nil {
		return d, err
	}
	d.PeakRSS = use.Maxrss
	return d, nil
}

// watch notes the resident memory each second.
func (j job) watch(ctx context.Context) (all []int64) {
	if !j.Watch {
		return nil
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return all
		case <-tick.C:
			all = append(all, resident())
		}
	}
}

// resident is the resident memory in KiB.
func resident() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, pages int64
	if _, err := fmt.Sscan(string(text), &size, &pages); err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize()) >> 10
}

// post is the same request again and again.
type post struct{ numbered bool }

func (p *post) Next(c *loadgen.Call) {
	c.Op, c.Method = "post", "POST"
	c.Path = append(c.Path, "/orders"...)
	if p.numbered {
		c.Path = strconv.AppendUint(append(c.Path, '/'), c.Seq, 10)
	}
	f := c.AddHeader("Content-Type")
	f.Value = append(f.Value, "application/json"...)
	c.Body = append(c.Body, body...)
}

func (p *post) Judge(_ *loadgen.Call, r *loadgen.Reply) loadgen.Verdict {
	if r.Failure != loadgen.None {
		return r.Failure.Verdict()
	}
	if r.Status != 202 {
		return loadgen.Verdict{Outcome: loadgen.Error, Certainty: loadgen.Unknown, Reason: strings.TrimSpace(strconv.Itoa(r.Status))}
	}
	return loadgen.Verdict{Outcome: loadgen.OK, Certainty: loadgen.Happened}
}

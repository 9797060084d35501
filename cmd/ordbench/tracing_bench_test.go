//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ordbench/ordbench/reports"
)

// tracingRate is as much as leaves the processors some rest even where the host
// is slow: with more than they can do orders queue up in one run and not in the
// next, and whether they do is worth more than what is looked for.
const tracingRate = 1500

const tracingScenario = `name: tracing-cost
description: The same orders, traced or not.
seed: 7
system:
  inventory: {replicas: 1, work: 0s, stock: 1000000}
  payment: {work: 0s}
  scaling: {by: none}
traffic:
  customers: 5000
  mix: {place_order: 100%}
  phases:
    - {name: load, rate: RATE/s, for: 10s}
`

// yardstick is the component whose work for an order has nothing to do with
// tracing.
const yardstick = "cache"

// BenchmarkTracing says what tracing costs, in processor time for an order and so
// of the throughput of who has no more of it: pairs of runs, one traced and one
// not, in the order on, off, off, on. It counts all processes, ordbench's own with
// its generator and its receiver of spans included, from a second after the load
// began until it ended.
//
// What the host does to the speed of its cores from one run to the next is more
// than tracing costs. So "cost" is in multiples of what the cache takes for an
// order, which is the same work traced or not, and has the host in it as the rest
// has. "raw" is without that. Of both there are the mean of the pairs, its
// standard error, and the median.
//
//	make bench-tracing
//	make bench-tracing PAIRS=40
func BenchmarkTracing(b *testing.B) {
	pairs, err := strconv.Atoi(os.Getenv("ORDBENCH_TRACING_PAIRS"))
	if err != nil {
		b.Skip("SKIPPED: it takes seven minutes; make bench-tracing runs it")
	}
	ordbench := program(b)
	for b.Loop() {
		var cost, raw []float64 // of each pair, percent
		for pair := range pairs {
			var of [2]bill // not traced, traced
			for i := range 2 {
				traced := (pair+i)%2 == 0
				of[map[bool]int{true: 1}[traced]] = tracedRun(b, ordbench, traced)
			}
			plain, traced := of[0], of[1]
			cost = append(cost, 100*(traced.relative()/plain.relative()-1))
			raw = append(raw, 100*(traced.all/plain.all-1))
			b.Logf("pair %d: %.0f us for an order traced, %.0f not, and of the cache %.1f and %.1f: it costs %+.1f%%",
				pair+1, traced.all, plain.all, traced.yardstick, plain.yardstick, cost[pair])
		}
		for what, list := range map[string][]float64{"cost": cost, "raw": raw} {
			mean, stderr := meanOf(list)
			slices.Sort(list)
			b.ReportMetric(mean, "%-"+what+"-mean")
			b.ReportMetric(stderr, "%-"+what+"-stderr")
			b.ReportMetric((list[(pairs-1)/2]+list[pairs/2])/2, "%-"+what+"-median")
		}
	}
}

// meanOf is the mean of a list, and its standard error.
func meanOf(list []float64) (mean, stderr float64) {
	n := float64(len(list))
	for _, x := range list {
		mean += x / n
	}
	squares := 0.0
	for _, x := range list {
		squares += (x - mean) * (x - mean)
	}
	return mean, math.Sqrt(squares / (n - 1) / n)
}

// bill is what a run took of the processor, in us for an accepted order.
type bill struct{ all, yardstick float64 }

// relative is what the rest takes where the yardstick takes 1.
func (c bill) relative() float64 { return c.all/c.yardstick - 1 }

// tracedRun plays the scenario, and watches what its processes take.
func tracedRun(b *testing.B, ordbench string, traced bool) bill {
	b.Helper()
	dir := b.TempDir()
	scenario := filepath.Join(dir, "tracing.yaml")
	if err := os.WriteFile(scenario, []byte(strings.Replace(tracingScenario, "RATE", strconv.Itoa(tracingRate), 1)), 0o600); err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(ordbench, "run", "-q", scenario, "--runtime", "local", "--out", dir,
		"--set", fmt.Sprintf("system.patterns.tracing=%t", traced))
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	var looks []look
	every := time.NewTicker(50 * time.Millisecond)
	defer every.Stop()
	for running := true; running; {
		select {
		case <-every.C:
			looks = append(looks, lookAt(cmd.Process.Pid))
		case err := <-ended:
			if err != nil && cmd.ProcessState.ExitCode() != 3 { // on a busy machine it may be inconclusive
				b.Fatal(err)
			}
			running = false
		}
	}
	var result reports.Result
	text, err := os.ReadFile(filepath.Join(dir, "tracing-cost", "latest", "result.json"))
	if err != nil {
		b.Fatal(err)
	}
	if err := json.Unmarshal(text, &result); err != nil {
		b.Fatal(err)
	}
	if (result.Traces != nil) != traced {
		b.Fatalf("traced %t, and traces %v", traced, result.Traces)
	}
	boot, load := time.Duration(result.Run.BootMS)*time.Millisecond, time.Duration(result.Phases[0].EndMS)*time.Millisecond
	begun := result.Run.StartedAt.Add(boot)
	from, to := nearest(looks, begun.Add(time.Second)), nearest(looks, begun.Add(load))
	orders := float64(result.Orders.Accepted) * to.at.Sub(from.at).Seconds() / load.Seconds()
	micros := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 / orders }
	all := time.Duration(0)
	for component, time := range to.used {
		all += time - from.used[component]
	}
	return bill{all: micros(all), yardstick: micros(to.used[yardstick] - from.used[yardstick])}
}

// look is what the processes of a run have had of the processor at a moment, by
// component; that of ordbench itself is "".
type look struct {
	at   time.Time
	used map[string]time.Duration
}

// lookAt looks at a process and its children.
func lookAt(pid int) look {
	l := look{at: time.Now(), used: map[string]time.Duration{"": used(strconv.Itoa(pid))}}
	children, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, file := range children {
		list, _ := os.ReadFile(file) // whoever has just ended counts no more
		for child := range strings.FieldsSeq(string(list)) {
			args, _ := os.ReadFile("/proc/" + child + "/cmdline")
			if word := strings.Split(string(args), "\x00"); len(word) > 2 { // ordbench serve COMPONENT
				l.used[word[2]] += used(child)
			}
		}
	}
	return l
}

// used is what the threads of a process have had of the processor: the first
// field of schedstat, in nanoseconds.
func used(pid string) (sum time.Duration) {
	threads, _ := filepath.Glob("/proc/" + pid + "/task/*/schedstat")
	for _, file := range threads {
		text, _ := os.ReadFile(file)
		first, _, _ := strings.Cut(string(text), " ")
		n, _ := strconv.ParseInt(first, 10, 64)
		sum += time.Duration(n)
	}
	return sum
}

// nearest is the look nearest to a moment.
func nearest(looks []look, at time.Time) look {
	return slices.MinFunc(looks, func(a, b look) int {
		return int(a.at.Sub(at).Abs() - b.at.Sub(at).Abs())
	})
}

//go:build linux

package main

import (
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
)

// tracingScenario is orders at a rate that leaves the processors some rest even
// where the host is slow: with more than they can do orders queue up at one time
// and not at another, and whether they do costs more than what is looked for.
const tracingScenario = `name: tracing-cost
description: Orders, of which those of every other half second are traced.
seed: 7
system:
  inventory: {replicas: 1, work: 0s, stock: 1000000}
  payment: {work: 0s}
  scaling: {by: none}
traffic:
  customers: 5000
  mix: {place_order: 100%}
  phases:
    - {name: load, rate: 1500/s, for: 60s}
`

// How the pulses of the program are measured: from when those of before are
// through until they end.
const (
	pulse      = 500 * time.Millisecond // as in system/telemetry/pulse_bench.go
	pulseFrom  = 150 * time.Millisecond
	pulseUntil = 480 * time.Millisecond
)

// BenchmarkTracing says what tracing costs of the throughput: in processor time
// for an order, of all processes, ordbench's own with its generator and its
// receiver of spans included.
//
// What the host does to the speed of its cores from one run to the next is worth
// more than that, as is how two boots of the same system differ. So the program
// is built with tracing that pulsates: on for half a second, off for the next. The
// result is the mean of the differences between each pulse with and the one after
// it without, as a share of the latter's mean, and its standard error; the median
// is there to tell whether a few did it. A pulse has the export of a whole half
// second in it but only 330 ms of its orders, so that exports count half as much
// again as they cost. What tracing costs without having to be on is not in it:
// branches, and the memory of spans, which the collector of garbage has to look
// at.
//
//	make bench-tracing
//	make bench-tracing RUNS=10
func BenchmarkTracing(b *testing.B) {
	runs, err := strconv.Atoi(os.Getenv("ORDBENCH_TRACING_RUNS"))
	if err != nil {
		b.Skip("SKIPPED: it takes five minutes; make bench-tracing runs it")
	}
	ordbench := compiled(b, "ordbench-pulse", ".", "GOFLAGS=-tags=ordbench_pulse")
	for b.Loop() {
		var differences, off []float64
		components := map[string]float64{}
		for run := range runs {
			pulses := pulsatingRun(b, ordbench)
			for i := 0; i+1 < len(pulses); i++ {
				with, without := pulses[i], pulses[i+1]
				if !with.traced || without.traced || without.number != with.number+1 {
					continue
				}
				differences = append(differences, with.all()-without.all())
				off = append(off, without.all())
				for component, us := range with.used {
					components[component] += us - without.used[component]
				}
			}
			mean, stderr := meanOf(differences)
			base, _ := meanOf(off)
			b.Logf("after run %d, %d pairs of pulses: %.0f us for an order without traces, %+.1f us with, +-%.1f", run+1, len(off), base, mean, stderr)
		}
		for component, us := range components {
			b.Logf("%s: %+.1f us", component, us/float64(len(off)))
		}
		mean, stderr := meanOf(differences)
		base, _ := meanOf(off)
		slices.Sort(differences)
		b.ReportMetric(100*mean/base, "%-mean")
		b.ReportMetric(100*stderr/base, "%-stderr")
		b.ReportMetric(100*differences[len(differences)/2]/base, "%-median")
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

// aPulse is what an order took in a pulse: us of the processor, by component, of
// which ordbench itself is one.
type aPulse struct {
	number int64
	traced bool
	used   map[string]float64
}

func (p aPulse) all() (sum float64) {
	for _, us := range p.used {
		sum += us
	}
	return sum
}

// pulsatingRun plays the scenario, and measures the pulses of its load.
func pulsatingRun(b *testing.B, ordbench string) (pulses []aPulse) {
	b.Helper()
	dir := b.TempDir()
	scenario := filepath.Join(dir, "tracing.yaml")
	if err := os.WriteFile(scenario, []byte(tracingScenario), 0o600); err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(ordbench, "run", "-q", scenario, "--runtime", "local", "--out", dir)
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	// The first seconds and the last are no part of it.
	for begun := time.Now(); time.Since(begun) < 58*time.Second; {
		next := time.Now().Truncate(pulse).Add(pulse)
		time.Sleep(time.Until(next.Add(pulseFrom)))
		from := lookAt(cmd.Process.Pid)
		time.Sleep(time.Until(next.Add(pulseUntil)))
		to := lookAt(cmd.Process.Pid)
		if time.Since(begun) < 4*time.Second || time.Until(next.Add(pulse+pulseFrom)) < 0 {
			continue // or this process itself did not get to look in time
		}
		p := aPulse{number: next.UnixMilli() / pulse.Milliseconds(), used: map[string]float64{}}
		p.traced = p.number%2 == 0
		for component, used := range to.used {
			p.used[component] = float64((used - from.used[component]).Nanoseconds()) / 1e3 / (1500 * to.at.Sub(from.at).Seconds())
		}
		pulses = append(pulses, p)
	}
	if err := cmd.Wait(); err != nil && cmd.ProcessState.ExitCode() != 3 { // on a busy machine it may be inconclusive
		b.Fatal(err)
	}
	return pulses
}

// look is what the processes of a run have had of the processor at a moment, by
// component.
type look struct {
	at   time.Time
	used map[string]time.Duration
}

// lookAt looks at a process and its children.
func lookAt(pid int) look {
	l := look{at: time.Now(), used: map[string]time.Duration{"ordbench": used(strconv.Itoa(pid))}}
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

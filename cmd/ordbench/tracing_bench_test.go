//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ordbench/ordbench/reports"
)

// tracingScenario is orders at a rate that leaves the processor some rest, with
// every pattern on: what tracing costs shows in processor time and not in what
// was shed.
const tracingScenario = `name: tracing-cost
description: The same orders, traced or not.
seed: 7
system:
  inventory: {replicas: 1, work: 0s, stock: 1000000}
  payment: {work: 0s}
  scaling: {by: none}
traffic:
  customers: 500
  mix: {place_order: 100%}
  phases:
    - {name: load, rate: RATE/s, for: 20s}
`

// BenchmarkTracing says what tracing costs: pairs of runs, one traced and one
// not, in the order on, off, off, on, and of each pair the ratio of processor
// time for an accepted order. The time is the kernel's count for all processes
// of a run, so that other work on the machine hardly moves it. What a run costs
// that has next to nothing to do, its boot and its end, is measured once with
// and once without traces and taken off: it is no part of what an order costs.
//
// "services" is what the system pays: spans, the spool, the export. "all" has
// in it what the user of ordbench pays too: the receiver of the spans and the
// judgement of the traces, in the process of the generator.
//
//	make bench-tracing
//	make bench-tracing PAIRS=9
func BenchmarkTracing(b *testing.B) {
	pairs, err := strconv.Atoi(os.Getenv("ORDBENCH_TRACING_PAIRS"))
	if err != nil {
		b.Skip("SKIPPED: it takes seven minutes; make bench-tracing runs it")
	}
	ordbench := program(b)
	for b.Loop() {
		fixed := map[bool]bill{true: tracedRun(b, ordbench, "1", true), false: tracedRun(b, ordbench, "1", false)}
		var services, all []float64
		for pair := range pairs {
			var own, every [2]float64 // not traced, traced
			for i := range 2 {
				traced := (pair+i)%2 == 0
				at := map[bool]int{true: 1}[traced]
				run := tracedRun(b, ordbench, "1000", traced)
				own[at] = run.each(fixed[traced], bill.ofServices)
				every[at] = run.each(fixed[traced], bill.ofAll)
			}
			services = append(services, own[1]/own[0])
			all = append(all, every[1]/every[0])
			b.Logf("pair %d: services %.0f us for an order traced, %.0f not, %+.1f%%; with ordbench %.0f and %.0f, %+.1f%%", pair+1,
				own[1], own[0], percent(services[pair]), every[1], every[0], percent(all[pair]))
		}
		for what, ratios := range map[string][]float64{"services": services, "all": all} {
			slices.Sort(ratios)
			b.ReportMetric(percent(ratios[len(ratios)/2]), "%-"+what+"-median")
			b.ReportMetric(percent(ratios[0]), "%-"+what+"-min")
			b.ReportMetric(percent(ratios[len(ratios)-1]), "%-"+what+"-max")
		}
	}
}

func percent(ratio float64) float64 { return 100 * (ratio - 1) }

// bill is what one run took of the processor.
type bill struct {
	services, own time.Duration // of the components, and of ordbench itself
	accepted      uint64
}

func (c bill) ofServices() time.Duration { return c.services }
func (c bill) ofAll() time.Duration      { return c.services + c.own }

// each is the µs for an accepted order, without what fixed took.
func (c bill) each(fixed bill, of func(bill) time.Duration) float64 {
	return float64((of(c) - of(fixed)).Microseconds()) / float64(c.accepted)
}

// tracedRun plays the scenario at a rate and reads its bill.
func tracedRun(b *testing.B, ordbench, rate string, traced bool) bill {
	b.Helper()
	dir := b.TempDir()
	scenario := filepath.Join(dir, "tracing.yaml")
	if err := os.WriteFile(scenario, []byte(strings.Replace(tracingScenario, "RATE", rate, 1)), 0o600); err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(ordbench, "run", "-q", scenario, "--runtime", "local", "--out", dir,
		"--set", fmt.Sprintf("system.patterns.tracing=%t", traced))
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	// It has ended, and is not yet waited for: its entry in the process table
	// has its own time and that of all that it has waited for.
	var info unix.Siginfo
	for {
		err := unix.Waitid(unix.P_PID, cmd.Process.Pid, &info, unix.WEXITED|unix.WNOWAIT, nil)
		if err == nil {
			break
		}
		if err != unix.EINTR {
			b.Fatal(err)
		}
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", cmd.Process.Pid))
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Wait(); err != nil && cmd.ProcessState.ExitCode() != 3 { // on a busy machine it may be inconclusive
		b.Fatal(err)
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
	// Field 14 of proc(5) is the twelfth after the name: utime, stime, cutime,
	// cstime, in hundredths of a second.
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	var ticks [4]int64
	for i := range ticks {
		if ticks[i], err = strconv.ParseInt(fields[11+i], 10, 64); err != nil {
			b.Fatal(err)
		}
	}
	const tick = 10 * time.Millisecond
	return bill{
		own:      time.Duration(ticks[0]+ticks[1]) * tick,
		services: time.Duration(ticks[2]+ticks[3]) * tick,
		accepted: result.Orders.Accepted,
	}
}

package main

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ordbench/ordbench/reports"
)

// The tests below say a little on every check, and all of it when they are
// asked to: `make soak-kill`, `make soak-chaos`.

// soak is how often to try: n, unless the variable says otherwise.
func soak(t *testing.T, variable string, n int) int {
	if text := os.Getenv(variable); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// built is the command line with results and sockets of its own.
type built struct {
	t      *testing.T
	binary string
	dir    string
	env    []string
}

func build(t *testing.T) built {
	t.Helper()
	dir := t.TempDir()
	run, err := os.MkdirTemp("", "ob") // short: a socket's path has 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(run) })
	b := built{t: t, binary: program(t), dir: dir, env: append(os.Environ(), "XDG_RUNTIME_DIR="+run, runtimeVariable+"="+runtimeLocal)}
	t.Cleanup(func() {
		for _, p := range processesWith(dir) {
			p.Kill()
		}
	})
	return b
}

func (b built) command(args ...string) *exec.Cmd {
	cmd := exec.Command(b.binary, args...)
	cmd.Env = b.env
	return cmd
}

// TestAKilledOrdbenchLeavesNothing kills it at random moments in mid-fault.
func TestAKilledOrdbenchLeavesNothing(t *testing.T) {
	b := build(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	faults := [][]string{
		{"pause", "inventory"}, {"stop", "payment"}, {"crash-loop", "notification"}, {"latency", "gateway->order"},
		{"flap", "order->broker"}, {"partition", "payment|broker"}, {"cpu-limit", "order", "--cores", "0.5"},
		{"cpu-limit", "gateway", "--cores", "0.5"}, {"files", "gateway", "--spare", "100"}, {"disk-full", "inventory"},
		{"lock-held", "payment"}, {"memory", "notification", "--bytes", "16MiB"}, {"fetch-errors", "broker"}, {"cache-away", "cache"},
	}
	var took []time.Duration
	for n := range soak(t, "ORDBENCH_SOAK_KILLS", 2) {
		up := b.command("up", "--links", "all", "--out", b.dir)
		if err := up.Start(); err != nil {
			t.Fatal(err)
		}
		if !soon(time.Minute, func() bool { return b.command("status").Run() == nil }) {
			t.Fatal("no stack came up")
		}
		ports := listening(up.Process.Pid)
		var injecting sync.WaitGroup
		for _, i := range r.Perm(len(faults))[:5] {
			injecting.Go(func() { _ = b.command(append([]string{"chaos"}, faults[i]...)...).Run() }) // some are cut off, that is the point
		}
		time.Sleep(time.Duration(r.Int64N(int64(1500 * time.Millisecond)))) // the moment is what is drawn
		_ = up.Process.Kill()                                               // it can't have ended before
		_ = up.Wait()
		injecting.Wait()
		groups := filepath.Join("/sys/fs/cgroup/cpu", fmt.Sprintf("ordbench-%d", up.Process.Pid))
		left := func() string {
			if p := processesWith(b.dir); len(p) > 0 {
				line, _ := p[0].Cmdline()
				return fmt.Sprintf("%d processes, first %s", len(p), line)
			}
			if _, err := os.Stat(groups); err == nil {
				return groups
			}
			for _, port := range ports {
				if c, err := net.Dial("tcp", port); err == nil {
					c.Close()
					return "somebody listens on " + port
				}
			}
			return ""
		}
		began := time.Now()
		if !soon(5*time.Second, func() bool { return left() == "" }) {
			t.Fatalf("kill %d: after 5 s there is still %s", n+1, left())
		}
		took = append(took, time.Since(began).Round(time.Millisecond))
		t.Logf("kill %d: nothing left after %s", n+1, took[n])
	}
	slices.Sort(took)
	t.Logf("%d kills: nothing left after %s (median), %s (at most)", len(took), took[len(took)/2], took[len(took)-1])
}

// soon polls for at most limit.
func soon(limit time.Duration, done func() bool) bool {
	deadline := time.After(limit)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-deadline:
			return false
		}
	}
	return true
}

// listening are the loopback addresses on which a process listens: those of
// its proxies.
func listening(pid int) []string {
	inodes := map[string]bool{}
	fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && strings.HasPrefix(to, "socket:[") {
			inodes[strings.Trim(to, "socket:[]")] = true
		}
	}
	table, _ := os.ReadFile(fmt.Sprintf("/proc/%d/net/tcp", pid))
	var ports []string
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line)
		if len(f) > 9 && f[3] == "0A" && inodes[f[9]] {
			_, hex, _ := strings.Cut(f[1], ":")
			if port, err := strconv.ParseUint(hex, 16, 16); err == nil {
				ports = append(ports, fmt.Sprintf("127.0.0.1:%d", port))
			}
		}
	}
	return ports
}

// TestRandomFaultsHarmNobody plays schedules of overlapping faults at 300
// orders a second: every attempt is accounted for, the invariants hold, and
// the system converges when all is healed. A pass says all of that.
func TestRandomFaultsHarmNobody(t *testing.T) {
	seeds := soak(t, "ORDBENCH_SOAK_SEEDS", 0)
	if seeds == 0 {
		t.Skip("random schedules take minutes and a quiet machine: make soak-chaos plays them")
	}
	b := build(t)
	first := soak(t, "ORDBENCH_SOAK_FROM", 1)
	var starts, ends []edge
	defer func() {
		t.Logf("starts behind their plan: %s", spread(starts))
		t.Logf("ends behind their plan, of faults that end without a start of a process: %s", spread(ends))
	}()
	for seed := first; seed < first+seeds; seed++ {
		said, err := b.command("run", "nemesis", "--quiet", "--seed", strconv.Itoa(seed), "--out", b.dir,
			"--set", "traffic.phases.steady.for=3s", "--set", "traffic.phases.storm.for=12s", "--set", "traffic.phases.after.for=3s").CombinedOutput()
		if err != nil {
			t.Errorf("seed %d: %v\n%s", seed, err, said)
			continue
		}
		r, _, err := reports.Read(filepath.Join(b.dir, "nemesis", "latest"))
		if err != nil {
			t.Fatal(err)
		}
		o := r.Orders
		if o.Attempted == 0 || o.Attempted != o.Accepted+o.Rejected+o.Unknown {
			t.Errorf("seed %d: %d attempts are not %d accepted, %d rejected and %d unknown", seed, o.Attempted, o.Accepted, o.Rejected, o.Unknown)
		}
		seen := 0
		for _, f := range r.Faults {
			if !f.Effective {
				continue
			}
			seen++
			what := fmt.Sprintf("%s of seed %d", f.Name, seed)
			starts = append(starts, edge{f.Observed.StartMS - f.Planned.StartMS, what})
			if !slices.Contains([]string{"kill", "stop", "restart", "crash-loop", "cache-away"}, f.Fault) && f.Observed.EndMS >= 0 {
				ends = append(ends, edge{f.Observed.EndMS - f.Planned.EndMS, what})
			}
		}
		t.Logf("seed %d: %s: %d faults of %d had an effect; of %d attempts %d accepted, %d rejected, %d unknown; %d invariants held; drained after %d ms; %s",
			seed, r.Verdict.Outcome, seen, len(r.Faults), o.Attempted, o.Accepted, o.Rejected, o.Unknown, len(r.Invariants), r.Run.DrainMS, r.Validity.Outcome)
	}
}

// edge is how far behind its plan a fault began, or was over.
type edge struct {
	behindMS int64
	fault    string
}

// spread is the middle and the end of a distribution, and whose that is.
func spread(edges []edge) string {
	if len(edges) == 0 {
		return "none"
	}
	slices.SortFunc(edges, func(a, b edge) int { return cmp.Compare(a.behindMS, b.behindMS) })
	at := func(q float64) int64 { return edges[int(q*float64(len(edges)-1))].behindMS }
	most := edges[len(edges)-1]
	return fmt.Sprintf("%d, p50 %d ms, p99 %d ms, at most %d ms (%s)", len(edges), at(0.5), at(0.99), most.behindMS, most.fault)
}

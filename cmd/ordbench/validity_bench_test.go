package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/ordbench/ordbench/reports"
)

// serverRole makes the test binary the server of the experiment.
const serverRole = "ORDBENCH_VALIDITY_SERVER"

func init() {
	if os.Getenv(serverRole) == "" {
		return
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") }))
	fmt.Println(server.URL)
	_, _ = os.Stdin.Read(make([]byte, 1)) // until the experiment ends
	os.Exit(0)
}

// BenchmarkValidity is an experiment with labels: in mid-run a cgroup takes
// the processor away from the generator, or from the server, or from nobody,
// and the report must say which. It fails if fewer than 99 of a hundred are
// right, or if one was known later than a second after its onset.
//
//	make bench-validity
//	make bench-validity RUNS=60 TALLY=validity.jsonl   # 140 s, again and again
func BenchmarkValidity(b *testing.B) {
	if runtime.GOOS != "linux" || os.Getuid() != 0 {
		b.Skip("SKIPPED: it takes Linux and root to take the processor away from a process by a cgroup")
	}
	runs, err := strconv.Atoi(os.Getenv("ORDBENCH_VALIDITY_RUNS"))
	if err != nil {
		b.Skip("SKIPPED: it takes minutes and a quiet machine; make bench-validity runs it")
	}
	ordbench := program(b)
	rng := rand.New(rand.NewPCG(1, uint64(time.Now().UnixNano())))
	for b.Loop() {
		var all tally
		all.load(b)
		for i := range runs {
			label := []string{reports.Valid, reports.GeneratorLimited, reports.SystemLimited}[i%3]
			e := experiment{label: label, percent: 1 + rng.IntN(3), rate: 2000 + 500*rng.IntN(5), onset: time.Duration(500+rng.IntN(300)) * time.Millisecond}
			v := e.run(b, ordbench)
			took := time.Duration(v.KnownMS)*time.Millisecond - e.onset
			late := label != reports.Valid && took > time.Second
			if v.Outcome != label || late {
				b.Logf("run %d: %+v: %s (%s) %v, slip p99 %g ms, known %v after the onset", i, e, v.Outcome, v.Reason, v.Causes, v.SlipP99MS, took)
			}
			all.add(b, verdict{Label: label, Outcome: v.Outcome, KnownMS: took.Milliseconds()})
		}
		all.judge(b)
	}
}

// verdict is what became of one labelled run.
type verdict struct {
	Label, Outcome string
	KnownMS        int64 // after the onset; means something where the outcome is right and not valid
}

// tally adds up runs: also those of earlier sessions, where
// ORDBENCH_VALIDITY_TALLY names the file that they are kept in.
type tally struct{ all []verdict }

func tallyFile() string { return os.Getenv("ORDBENCH_VALIDITY_TALLY") }

// load reads what earlier sessions have left.
func (t *tally) load(b *testing.B) {
	if tallyFile() == "" {
		return
	}
	text, err := os.ReadFile(tallyFile())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		b.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		var v verdict
		if err := json.Unmarshal(line, &v); err != nil {
			b.Fatal(err)
		}
		t.all = append(t.all, v)
	}
}

// add counts one run, and keeps it.
func (t *tally) add(b *testing.B, v verdict) {
	t.all = append(t.all, v)
	if tallyFile() == "" {
		return
	}
	f, err := os.OpenFile(tallyFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if err := json.NewEncoder(f).Encode(v); err != nil {
		b.Fatal(err)
	}
}

// judge says how many were right, and fails if too few were.
func (t *tally) judge(b *testing.B) {
	right, late := 0, 0
	var known []int64
	for _, v := range t.all {
		if v.Outcome != v.Label {
			continue
		}
		right++
		if v.Label == reports.Valid {
			continue
		}
		known = append(known, v.KnownMS)
		if v.KnownMS > time.Second.Milliseconds() {
			late++
		}
	}
	runs := len(t.all)
	b.ReportMetric(100*float64(right)/float64(runs), "%right")
	b.ReportMetric(float64(runs), "runs")
	if len(known) > 0 {
		slices.Sort(known)
		b.ReportMetric(float64(known[len(known)/2]), "ms-known-p50")
		b.ReportMetric(float64(known[len(known)-1]), "ms-known-max")
	}
	if 100*right < 99*runs || late > 0 {
		b.Errorf("%d of %d right, %d known later than a second after the onset", right, runs, late)
	}
}

// experiment is one labelled run.
type experiment struct {
	label   string
	percent int // of a processor that is left to the starved
	rate    int
	onset   time.Duration // on the run's clock
}

// loadStart is from the start of the process to the first arrival, for the
// most part the lead that the load gives itself.
const loadStart = 120 * time.Millisecond

func (e experiment) run(b *testing.B, ordbench string) reports.Validity {
	server := exec.Command(os.Args[0])
	server.Env = append(os.Environ(), serverRole+"=1")
	stdin, err := server.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := server.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := server.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() {
		stdin.Close()
		_ = server.Wait()
	}()
	var url string
	if _, err := fmt.Fscan(stdout, &url); err != nil {
		b.Fatal(err)
	}
	load := exec.Command(ordbench, "load", url, "--rate", fmt.Sprintf("%d/s", e.rate), "-d", "2s", "-c", "16", "--json", "--quiet")
	var out, problems bytes.Buffer
	load.Stdout, load.Stderr = &out, &problems
	if err := load.Start(); err != nil {
		b.Fatal(err)
	}
	if e.label != reports.Valid {
		pid := server.Process.Pid
		if e.label == reports.GeneratorLimited {
			pid = load.Process.Pid
		}
		q := newQuota(b, pid)
		defer q.remove(b)
		time.Sleep(loadStart + e.onset) // the experiment, not a test
		q.set(b, e.percent)
		time.AfterFunc(2*time.Second, func() { q.lift() }) // so that the report is written in time
	}
	_ = load.Wait() // its exit code is the verdict
	var result reports.Result
	if err := json.Unmarshal(out.Bytes(), &result); err != nil {
		b.Fatalf("%v: %s", err, problems.String())
	}
	return result.Validity
}

// quota is a cgroup of one process, of version 1 or 2.
type quota struct {
	dir    string
	second bool
}

func newQuota(b *testing.B, pid int) quota {
	q := quota{dir: "/sys/fs/cgroup/cpu"}
	if _, err := os.Stat(q.dir); err != nil {
		q.dir, q.second = "/sys/fs/cgroup", true
	}
	q.dir = filepath.Join(q.dir, fmt.Sprintf("ordbench-validity-%d", pid))
	if err := os.Mkdir(q.dir, 0o755); err != nil {
		b.Skipf("SKIPPED: no cgroup can be made: %v", err)
	}
	q.write(b, "cgroup.procs", strconv.Itoa(pid))
	return q
}

// set leaves the process that many percent of a processor.
func (q quota) set(b *testing.B, percent int) {
	if q.second {
		q.write(b, "cpu.max", fmt.Sprintf("%d 100000", percent*1000))
		return
	}
	q.write(b, "cpu.cfs_period_us", "100000")
	q.write(b, "cpu.cfs_quota_us", strconv.Itoa(percent*1000))
}

func (q quota) lift() {
	if q.second {
		_ = os.WriteFile(filepath.Join(q.dir, "cpu.max"), []byte("max 100000"), 0o644)
		return
	}
	_ = os.WriteFile(filepath.Join(q.dir, "cpu.cfs_quota_us"), []byte("-1"), 0o644)
}

// remove takes the cgroup away, with its process back in the root.
func (q quota) remove(b *testing.B) {
	q.lift()
	if pids, err := os.ReadFile(filepath.Join(q.dir, "cgroup.procs")); err == nil {
		for _, pid := range bytes.Fields(pids) {
			_ = os.WriteFile(filepath.Join(filepath.Dir(q.dir), "cgroup.procs"), pid, 0o644)
		}
	}
	if err := os.Remove(q.dir); err != nil {
		b.Error(err)
	}
}

func (q quota) write(b *testing.B, name, text string) {
	if err := os.WriteFile(filepath.Join(q.dir, name), []byte(text), 0o644); err != nil {
		b.Fatal(err)
	}
}

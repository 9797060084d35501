package traffic

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/google/go-cmp/cmp"

	"github.com/ordbench/ordbench/loadgen"
	"github.com/ordbench/ordbench/loadgen/vitals"
	"github.com/ordbench/ordbench/reports"
)

// played is a run of two operations, one of which is not always answered.
type played struct{}

func (played) Next(c *loadgen.Call) {
	c.Op = "read"
	if c.Seq%2 == 0 {
		c.Op = "write"
	}
}

func (played) Judge(_ *loadgen.Call, r *loadgen.Reply) loadgen.Verdict { return r.Failure.Verdict() }

// Run says at once what became of each call.
func (played) Run(_ context.Context, job loadgen.Job) error {
	var c loadgen.Call
	for job.Calls.Next(&c) {
		r := loadgen.Reply{Sent: c.Due, Done: c.Due + time.Duration(1+c.Seq%50)*time.Millisecond, Status: 200}
		switch c.Seq % 10 {
		case 4:
			r.Failure, r.Done = loadgen.TimedOut, c.Due+time.Second
		case 5:
			r.Failure, r.Sent, r.Done = loadgen.NotSent, -1, c.Due+time.Second
		case 6:
			r.Failure = loadgen.Refused
		}
		job.Replies.Done(&c, &r)
	}
	return nil
}

// play is a run of 1,000 calls; each is seen by the caller's function.
func play(t *testing.T, after func(*loadgen.Runner)) *loadgen.Report {
	t.Helper()
	plan := loadgen.Plan{Phases: []loadgen.Phase{
		{Name: "one", Law: loadgen.Constant{PerSecond: 50_000}, For: 10 * time.Millisecond, Record: true},
		{Name: "two", Law: loadgen.Constant{PerSecond: 50_000}, For: 10 * time.Millisecond, Record: true},
	}}
	r := loadgen.New(loadgen.Config{Plan: plan, Workload: played{}, Engine: played{}, Intervals: true})
	report, err := r.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if after != nil {
		after(r)
	}
	return report
}

func TestTimesThatAreLowerBoundsAreCounted(t *testing.T) {
	rows, err := Latency(play(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, l := range rows {
		if l.Phase != "" || l.Clock != reports.ResponseClock {
			continue
		}
		found++
		// Of 500 calls of each, 100 writes timed out, 100 reads were dropped;
		// the 100 writes that were refused are not timed.
		want := map[string][2]uint64{"write": {400, 100}, "read": {500, 100}}[l.Op]
		if l.Count != want[0] || l.AtLeast != want[1] {
			t.Errorf("%s: %d times, %d lower bounds; want %v", l.Op, l.Count, l.AtLeast, want)
		}
		if l.P99MS < 999 || l.P50MS > 60 {
			t.Errorf("%s: p50 %g ms, p99 %g ms: what was not answered must stand above", l.Op, l.P50MS, l.P99MS)
		}
	}
	if found != 2 {
		t.Errorf("%d operations", found)
	}
}

// The intervals of a run add up to its distribution, to the last count, as
// another reads them from the log.
func TestIntervalsMergeToTheWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), LogFile)
	start := time.Now()
	report := play(t, func(r *loadgen.Runner) {
		l, err := CreateLog(path, start)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Close(r); err != nil {
			t.Fatal(err)
		}
	})
	want := map[string]*hdrhistogram.Histogram{}
	for _, p := range report.Phases {
		for op, o := range p.Ops {
			if want[string(op)] == nil {
				want[string(op)] = NewHistogram()
			}
			want[string(op)].Merge(o.Response)
		}
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	in, lines := hdrhistogram.NewHistogramLogReader(f), 0
	for {
		h, err := in.NextIntervalHistogram()
		if h == nil || errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		lines++
		whole := want[h.Tag()]
		if whole == nil {
			t.Fatalf("tag %q", h.Tag())
		}
		if diff := cmp.Diff(counts(whole), counts(h)); diff != "" {
			t.Errorf("%s, -run +log:\n%s", h.Tag(), diff)
		}
	}
	if lines != 2 {
		t.Errorf("%d lines, want one for each operation", lines)
	}
}

func counts(h *hdrhistogram.Histogram) map[int64]int64 {
	all := map[int64]int64{}
	for _, bar := range h.Distribution() {
		if bar.Count > 0 {
			all[bar.To] = bar.Count
		}
	}
	return all
}

// A second is written once.
func TestIntervalIsForgottenOnceItIsTold(t *testing.T) {
	play(t, func(r *loadgen.Runner) {
		n := int64(0)
		for _, h := range r.Intervals() {
			n += h.TotalCount()
		}
		if n != 900 {
			t.Errorf("%d times, want 900", n)
		}
		if again := r.Intervals(); len(again) > 0 {
			t.Errorf("again %v", again)
		}
	})
}

func TestValidity(t *testing.T) {
	punctual := play(t, nil)
	limited := vitals.Finding{
		Outcome: vitals.SystemLimited, Reason: "arrivals waited", Onset: 1500 * time.Millisecond, Known: 1700 * time.Millisecond,
		System: 800 * time.Millisecond, Causes: []vitals.Cause{vitals.Connections},
	}
	v := Validity(punctual, limited, time.Millisecond)
	if v.Outcome != reports.SystemLimited || v.OnsetMS != 1500 || v.KnownMS != 1700 || v.SystemLimitedMS != 800 || v.Causes[0] != "connections" {
		t.Errorf("%+v", v)
	}
	if v := Validity(punctual, vitals.Finding{Outcome: vitals.Valid, Onset: -1, Known: -1}, time.Millisecond); v.Outcome != reports.Valid || v.OnsetMS != -1 {
		t.Errorf("%+v", v)
	}
	// The watch saw nothing, and yet one in a hundred left late.
	for _, p := range punctual.Phases {
		for _, o := range p.Ops {
			for range 100 {
				if err := o.Slip.RecordValue(900_000); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	v = Validity(punctual, vitals.Finding{Outcome: vitals.Valid, Onset: -1, Known: -1}, time.Millisecond)
	if v.Outcome != reports.GeneratorLimited || !strings.Contains(v.Reason, "left more than 900 ms late") {
		t.Errorf("%+v", v)
	}
}

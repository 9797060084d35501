// Package traffic turns what a load generator counted and timed into the parts
// of a Result: Phases, Latency, Validity, and the log of intervals. A scenario
// and a bare load report with the same words because both come from here.
package traffic

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/ordbench/ordbench/loadgen"
	"github.com/ordbench/ordbench/loadgen/vitals"
	"github.com/ordbench/ordbench/reports"
)

// Phases says what became of each phase's schedule.
func Phases(report *loadgen.Report) []reports.Phase {
	var phases []reports.Phase
	for _, p := range report.Phases {
		out := reports.Phase{
			Name:     p.Name,
			StartMS:  p.Start.Milliseconds(),
			EndMS:    p.End.Milliseconds(),
			Recorded: p.Recorded,
			Ops:      map[string]reports.Counts{},
			Reasons:  map[string]uint64{},
		}
		total := p.Total()
		for op, o := range p.Ops {
			c := countsOf(o.Counts)
			c.Repeated = o.Repeats
			out.Ops[string(op)] = c
			out.Counts.Repeated += o.Repeats
			for reason, n := range o.Reasons {
				out.Reasons[reason] += n
			}
		}
		repeated := out.Counts.Repeated
		out.Counts = countsOf(total)
		out.Counts.Repeated = repeated
		if s := (p.End - p.Start).Seconds(); s > 0 {
			out.OfferedRate = round(float64(total.Scheduled) / s)
			out.GoodputRate = round(float64(total.OK) / s)
		}
		phases = append(phases, out)
	}
	return phases
}

func countsOf(c loadgen.Counts) reports.Counts {
	return reports.Counts{
		Scheduled: c.Scheduled, OK: c.OK, Rejected: c.Rejected, Error: c.Error,
		Timeout: c.Timeout, Dropped: c.Dropped, Unfinished: c.Unfinished,
	}
}

// Latency gives the distributions of each operation by phase, and over all
// recorded phases under the phase "". One that can't be encoded is an error,
// and there without its histogram all the same.
func Latency(report *loadgen.Report) ([]reports.Latency, error) {
	var (
		rows []reports.Latency
		errs []error
	)
	type key struct {
		op    loadgen.Op
		clock string
	}
	type sum struct {
		h       *hdrhistogram.Histogram
		atLeast uint64
	}
	all := map[key]*sum{}
	var keys []key
	add := func(op loadgen.Op, phase, clock string, h *hdrhistogram.Histogram, atLeast uint64) {
		row, err := Distribution(string(op), phase, clock, h)
		row.AtLeast = atLeast
		rows, errs = append(rows, row), append(errs, err)
	}
	collect := func(op loadgen.Op, phase, clock string, h *hdrhistogram.Histogram, atLeast uint64) {
		if h.TotalCount() == 0 {
			return
		}
		add(op, phase, clock, h, atLeast)
		k := key{op, clock}
		if all[k] == nil {
			all[k] = &sum{h: NewHistogram()}
			keys = append(keys, k)
		}
		all[k].h.Merge(h)
		all[k].atLeast += atLeast
	}
	for _, p := range report.Phases {
		if !p.Recorded {
			continue
		}
		for _, op := range slices.Sorted(maps.Keys(p.Ops)) {
			o := p.Ops[op]
			collect(op, p.Name, reports.ResponseClock, o.Response, o.LowerBounds)
			// Of those that were sent and not answered, the service took at
			// least as long too.
			collect(op, p.Name, reports.ServiceClock, o.Service, o.Counts.Timeout+o.Counts.Unfinished)
			// The steps of a flow are rows of their own: response from when
			// the flow was due, so that a slow step hides in none after it.
			for _, name := range slices.Sorted(maps.Keys(o.Steps)) {
				step := op + "." + loadgen.Op(name)
				collect(step, p.Name, reports.ResponseClock, o.Steps[name].Response, 0)
				collect(step, p.Name, reports.ServiceClock, o.Steps[name].Service, 0)
			}
		}
	}
	for _, k := range keys {
		add(k.op, "", k.clock, all[k].h, all[k].atLeast)
	}
	return rows, errors.Join(errs...)
}

// NewHistogram holds 1 us to 10 min with three digits, in microseconds.
func NewHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, (10 * time.Minute).Microseconds(), 3)
}

// Distribution summarises a histogram of microseconds. The error is that it
// can't be encoded; the rest of the row is whole.
func Distribution(op, phase, clock string, h *hdrhistogram.Histogram) (reports.Latency, error) {
	at := func(quantile float64) float64 { return float64(h.ValueAtQuantile(quantile)) / 1e3 }
	row := reports.Latency{
		Op: op, Phase: phase, Clock: clock,
		Count:  uint64(h.TotalCount()),
		MeanMS: math.Round(h.Mean()) / 1e3,
		P50MS:  at(50), P90MS: at(90), P95MS: at(95), P99MS: at(99), P999MS: at(99.9),
		MaxMS: float64(h.Max()) / 1e3,
	}
	encoded, err := h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		return row, fmt.Errorf("encode the histogram of %s: %w", op, err)
	}
	row.Histogram = string(encoded)
	return row, nil
}

// Validity judges the measurement itself: what was its limit? The watch knows
// of stretches of time; that one attempt in a hundred left late over the whole
// run is enough as well.
func Validity(report *loadgen.Report, f vitals.Finding, maxSlip time.Duration) reports.Validity {
	slip := NewHistogram()
	var scheduled, dropped uint64
	for _, p := range report.Phases {
		if !p.Recorded {
			continue
		}
		for _, o := range p.Ops {
			slip.Merge(o.Slip)
			scheduled += o.Counts.Scheduled
			dropped += o.Counts.Dropped
		}
	}
	v := reports.Validity{
		Outcome:            string(f.Outcome),
		Reason:             f.Reason,
		SlipP50MS:          float64(slip.ValueAtQuantile(50)) / 1e3,
		SlipP99MS:          float64(slip.ValueAtQuantile(99)) / 1e3,
		SlipMaxMS:          float64(slip.Max()) / 1e3,
		OnsetMS:            milliseconds(f.Onset),
		KnownMS:            milliseconds(f.Known),
		GeneratorLimitedMS: f.Generator.Milliseconds(),
		SystemLimitedMS:    f.System.Milliseconds(),
		Causes:             []string{},
		RunDelayMax:        round(f.Worst.Delay),
		LoopBusyMax:        round(f.Worst.Busy),
		CPUMax:             round(f.Worst.CPU),
		GCPauseMaxMS:       round(f.Worst.Pause.Seconds() * 1e3),
	}
	for _, c := range f.Causes {
		v.Causes = append(v.Causes, string(c))
	}
	if scheduled > 0 {
		v.ScheduledMet = 1 - float64(dropped)/float64(scheduled)
	}
	if limit := maxSlip.Seconds() * 1e3; v.SlipP99MS > limit && v.Outcome != reports.GeneratorLimited {
		v.Outcome, v.OnsetMS, v.KnownMS = reports.GeneratorLimited, -1, -1
		v.Causes = []string{string(vitals.Slip)}
		v.Reason = fmt.Sprintf("1%% of the attempts left more than %.0f ms late although a connection was free", v.SlipP99MS)
	}
	return v
}

// milliseconds keeps a moment that never was.
func milliseconds(d time.Duration) int64 {
	if d < 0 {
		return -1
	}
	return d.Milliseconds()
}

// round keeps three decimals: more would be noise in a file.
func round(v float64) float64 { return math.Round(v*1000) / 1000 }

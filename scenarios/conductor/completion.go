package conductor

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/ordbench/ordbench/loadgen"
	"github.com/ordbench/ordbench/reports"
	"github.com/ordbench/ordbench/reports/traffic"
	"github.com/ordbench/ordbench/system"
)

// completions times orders from accepted to terminal, as the order database
// tells it, on the way of its rows to another auditor. An order belongs to
// the phase in which it was accepted.
type completions struct {
	system.Auditor
	start  time.Time
	report *loadgen.Report
	phases []*hdrhistogram.Histogram
}

func newCompletions(next system.Auditor, start time.Time, report *loadgen.Report) *completions {
	c := &completions{Auditor: next, start: start, report: report}
	for range report.Phases {
		c.phases = append(c.phases, traffic.NewHistogram())
	}
	return c
}

// Order times one order that reached its end and hands it on.
func (c *completions) Order(row system.OrderRow) error {
	// When an order came to an end that its customer cancelled is not known
	// any more.
	if row.Status != "PENDING" && row.Status != "PARKED" && !row.Cancelled {
		at := row.CreatedAt.Sub(c.start)
		for i, p := range c.report.Phases {
			if at >= p.Start && at < p.End {
				// A value above the range of the histogram is not an order
				// of this run.
				_ = c.phases[i].RecordValue(row.UpdatedAt.Sub(row.CreatedAt).Microseconds())
			}
		}
	}
	return c.Auditor.Order(row)
}

// distribution summarises a histogram. One that can't be encoded is a trouble
// of the run, not a reason to lose its result.
func (r *run) distribution(op, phase, clock string, h *hdrhistogram.Histogram) reports.Latency {
	row, err := traffic.Distribution(op, phase, clock, h)
	if err != nil {
		r.trouble("%v", err)
	}
	return row
}

// latency gives the distribution by recorded phase, and over all of them
// under the phase "".
func (c *completions) latency(r *run) []reports.Latency {
	rows := []reports.Latency{}
	all := traffic.NewHistogram()
	for i, p := range c.report.Phases {
		if h := c.phases[i]; p.Recorded && h.TotalCount() > 0 {
			rows = append(rows, r.distribution("place_order", p.Name, reports.CompletionClock, h))
			all.Merge(h)
		}
	}
	if all.TotalCount() > 0 {
		rows = append(rows, r.distribution("place_order", "", reports.CompletionClock, all))
	}
	return rows
}

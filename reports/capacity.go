package reports

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"time"
)

// CapacityFile is the name of a Capacity in the directory of its search.
const CapacityFile = "capacity.json"

// Capacity is the highest load that a scenario holds, and how that is known.
type Capacity struct {
	SchemaVersion string    `json:"schema_version"`
	Scenario      string    `json:"scenario"`
	StartedAt     time.Time `json:"started_at"`
	DurationMS    int64     `json:"duration_ms"`
	Command       string    `json:"command"`
	Seed          int64     `json:"seed"`

	Rate       float64 `json:"rate_per_s"` // highest rate of the recorded phases that held in each run; 0: none did
	Factor     float64 `json:"factor"`     // of the scenario's own rates
	Runs       int     `json:"runs"`       // at that rate, all of which held
	Confidence float64 `json:"confidence"` // at a level of 0.95 it holds in at least this share of runs

	FailedRate float64 `json:"failed_rate_per_s"` // lowest rate that did not hold; 0: none
	FailedRuns int     `json:"failed_runs"`       // at that rate
	FailedHeld int     `json:"failed_held"`       // of those, runs that held all the same
	LimitedBy  string  `json:"limited_by"`        // gates | integrity | inconclusive | generator | ceiling | time | interrupted
	Reason     string  `json:"reason"`

	Probes []Probe `json:"probes"` // in the order in which they were made
}

// Probe is one run of a search.
type Probe struct {
	Rate    float64 `json:"rate_per_s"`
	Factor  float64 `json:"factor"`
	Outcome Outcome `json:"outcome"`
	Reason  string  `json:"reason"`
	Dir     string  `json:"dir"` // of its result, from that of the search
}

// Write stores it in the directory of the search, whole or not at all.
func (c *Capacity) Write(dir string) error {
	fill(&c.Probes)
	return writeFile(filepath.Join(dir, CapacityFile), func(w io.Writer) error { return json.NewEncoder(w).Encode(c) })
}

// CapacityText renders the result of a search for a terminal.
func CapacityText(w io.Writer, c *Capacity, o TextOptions) error {
	p := &page{width: o.Width, color: o.Color}
	if p.width <= 0 {
		p.width = 100
	}
	p.width = max(p.width, 60)
	if c.Rate > 0 {
		p.line(p.paint("CAPACITY", bold+green) + "  " + clean(c.Scenario) + ": " + FormatValue(c.Rate, UnitPerSecond))
		p.note("", fmt.Sprintf("held in %d of %d runs, so that with 95%% confidence it holds in at least %s of them",
			c.Runs, c.Runs, FormatValue(float64(int(c.Confidence*100))/100, UnitShare)), "")
	} else {
		p.line(p.paint("NO CAPACITY", bold+red) + "  " + clean(c.Scenario))
		p.note("", "no rate held", "")
	}
	switch {
	case c.FailedRate > 0 && c.FailedHeld > 0:
		p.note("", fmt.Sprintf("%s did not hold in %d of %d runs: %s", FormatValue(c.FailedRate, UnitPerSecond), c.FailedRuns-c.FailedHeld, c.FailedRuns, c.Reason), "")
	case c.FailedRate > 0:
		p.note("", fmt.Sprintf("%s did not hold: %s", FormatValue(c.FailedRate, UnitPerSecond), c.Reason), "")
	default:
		p.note("", c.Reason, "")
	}
	switch c.LimitedBy {
	case "generator":
		p.note("", "the generator was the limit, not the system: the capacity is at least that", yellow)
	case "time":
		p.note("", "the time was up before the edge was known: the capacity is between the two", yellow)
	case "interrupted":
		p.note("", "interrupted before the edge was known", yellow)
	}
	p.title("Runs")
	t := &table{columns: []column{{title: "rate", right: true}, {title: "outcome"}, {title: "reason"}}}
	for _, probe := range c.Probes {
		t.add(FormatValue(probe.Rate, UnitPerSecond), string(probe.Outcome), probe.Reason)
	}
	t.render(p)
	p.title("Files")
	p.line(indent + clean(filepath.Join(o.Dir, CapacityFile)))
	p.line("")
	p.line("Again: " + clean(c.Command))
	_, err := io.WriteString(w, p.text.String())
	return err
}

package scenarios

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"
)

// Summary is what a scenario comes to, before it is played.
type Summary struct {
	Name        string        `json:"name"`
	Description string        `json:"description"`
	Phases      []Span        `json:"phases"`
	Faults      []Strike      `json:"faults"`
	Gates       int           `json:"gates"`
	Length      time.Duration `json:"length_ns"` // of the traffic; boot, drain and checks come on top
	Arrivals    float64       `json:"arrivals"`  // expected
	Orders      float64       `json:"orders"`    // of those, orders placed
}

// Span is a phase and its place on the clock of the run.
type Span struct {
	Name     string        `json:"name"`
	Start    time.Duration `json:"start_ns"`
	End      time.Duration `json:"end_ns"`
	Law      string        `json:"law"` // "100/s..1000/s, poisson"
	Arrivals float64       `json:"arrivals"`
	Recorded bool          `json:"recorded"`
	Closed   bool          `json:"closed,omitempty"` // nobody knows how many arrive
}

// Strike is a fault and its place on the clock of the run.
type Strike struct {
	Name  string        `json:"name"`
	At    time.Duration `json:"at_ns"`
	Fault string        `json:"fault"` // "kill inventory, restart after 2s"
}

// Summary says what the scenario comes to.
func (s *Scenario) Summary() Summary {
	out := Summary{Name: s.Name, Description: s.Description, Gates: len(s.Gates), Length: s.Length()}
	for i, p := range s.Traffic.Phases {
		arrivals := p.Law().Expected(p.For)
		out.Arrivals += arrivals
		out.Phases = append(out.Phases, Span{
			Name: p.Name, Start: s.start(i), End: s.start(i + 1), Law: p.describe(), Arrivals: arrivals, Recorded: p.Record, Closed: p.Users > 0,
		})
	}
	out.Orders = out.Arrivals * (s.Traffic.Mix["place_order"] + s.Traffic.Mix["follow_order"])
	for _, f := range s.Chaos {
		at, _ := s.Moment(f.At)
		out.Faults = append(out.Faults, Strike{Name: f.Name, At: at, Fault: f.describe()})
	}
	for _, t := range s.nemesis().Schedule() {
		out.Faults = append(out.Faults, Strike{Name: t.Spec.Name, At: t.At, Fault: describe(t.Spec)})
	}
	return out
}

func (p Phase) describe() string {
	law := rateOf(&p).get()
	if len(p.Steps) > 0 {
		var steps []string
		for _, r := range p.Steps {
			steps = append(steps, formatRate(r))
		}
		law = strings.Join(steps, ", ")
	}
	switch {
	case p.Sine != nil:
		law = fmt.Sprintf("sine %s..%s each %s", formatRate(p.Sine.Low), formatRate(p.Sine.High), short(p.Sine.Period))
	case p.Spike != nil:
		law = fmt.Sprintf("%s, spike of %s at %s for %s", formatRate(p.Spike.Base), formatRate(p.Spike.Peak),
			short(p.Spike.At), short(p.Spike.Rise+p.Spike.Hold+p.Spike.Fall))
	case p.Trace != nil:
		law = "trace " + filepath.Base(p.Trace.File)
	case p.Users > 0:
		law = fmt.Sprintf("%d users, think %s", p.Users, short(p.Think))
	}
	if p.Arrivals != ArrivalsConstant {
		law += ", " + p.Arrivals
	}
	return law
}

// Write prints the summary for people: a line per phase and per fault.
func (s Summary) Write(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tw, "%s: %s, about %.0f arrivals, %.0f of them orders\n", s.Name, short(s.Length), s.Arrivals, s.Orders)
	for _, p := range s.Phases {
		note, arrivals := "", fmt.Sprintf("%.0f arrivals", p.Arrivals)
		if !p.Recorded {
			note = "not recorded"
		}
		if p.Closed {
			arrivals = "as answers come"
		}
		fmt.Fprintf(tw, "  %s\t%s to %s\t%s\t%s\t%s\n", p.Name, short(p.Start), short(p.End), p.Law, arrivals, note)
	}
	for _, f := range s.Faults {
		fmt.Fprintf(tw, "  %s\tat %s\t%s\n", f.Name, short(f.At), f.Fault)
	}
	return tw.Flush()
}

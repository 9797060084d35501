package reports

import (
	"fmt"
	"slices"
	"strings"
)

func ordersTable(p *page, r *Result) {
	o := r.Orders
	p.title("Orders")
	rows := []struct {
		name   string
		counts []named
	}{
		{"clients were told", []named{{"attempted", o.Attempted}, {"accepted", o.Accepted}, {"rejected", o.Rejected}, {"unknown", o.Unknown}}},
		{"the books hold", []named{{"completed", o.Completed}, {"compensated", o.Compensated}, {"parked", o.Parked}, {"pending", o.Pending}, {"recovered", o.Recovered}}},
		{"wrong", []named{{"lost", o.Lost}, {"duplicated", o.Duplicated}, {"unexpected", o.Unexpected}, {"phantom", o.Phantom}}},
	}
	t := &table{columns: make([]column, 6)}
	for _, row := range rows {
		texts := make([]string, len(t.columns))
		texts[0] = row.name
		for i, c := range row.counts {
			texts[i+1] = c.String()
		}
		t.add(texts...)
		t.paint(0, dim)
		for i, c := range row.counts {
			if row.name == "wrong" && c.n > 0 {
				t.paint(i+1, red)
			}
		}
	}
	if t.total() <= p.width {
		t.render(p)
		return
	}
	for _, row := range rows { // a count must not be cut
		texts := make([]string, len(row.counts))
		for i, c := range row.counts {
			texts[i] = c.String()
		}
		p.note(fmt.Sprintf("%s%-17s  ", indent, row.name), strings.Join(texts, ", "), "")
	}
}

// named is a count with its name.
type named struct {
	name string
	n    uint64
}

func (c named) String() string { return c.name + " " + number(c.n) }

// shownEvidence is how many ids the text shows; the result has more.
const shownEvidence = 5

func invariantsTable(p *page, r *Result) {
	if len(r.Invariants) == 0 {
		p.title("Invariants: not checked")
		return
	}
	held := 0
	for _, i := range r.Invariants {
		if i.Outcome == Held {
			held++
		}
	}
	p.title("Invariants: %d of %d held", held, len(r.Invariants))
	for _, i := range r.Invariants {
		if i.Outcome == Held {
			continue
		}
		color := yellow
		if i.Outcome == Broken {
			color = red
		}
		p.note(fmt.Sprintf("%s%-7s  ", indent, clean(i.Outcome)), i.ID+": "+i.Detail, color)
		for _, id := range i.Evidence[:min(shownEvidence, len(i.Evidence))] {
			p.line(cut("           "+clean(id), p.width))
		}
		if more := len(i.Evidence) - shownEvidence; more > 0 {
			p.line(fmt.Sprintf("           and %d more in %s", more, ResultFile))
		}
	}
}

func trafficTable(p *page, r *Result) {
	if len(r.Phases) == 0 {
		return
	}
	p.title("Traffic by phase, attempts")
	t := &table{columns: []column{
		{title: "phase"},
		{title: "from", right: true, spare: true},
		{title: "to", right: true, spare: true},
		{title: "offered/s", right: true, spare: true},
		{title: "ok/s", right: true, spare: true},
		{title: "scheduled", right: true},
		{title: "ok", right: true},
		{title: "rejected", right: true},
		{title: "error", right: true},
		{title: "timeout", right: true},
		{title: "dropped", right: true, spare: true},
		{title: "unfinished", right: true, spare: true},
	}}
	warmUp := false
	for _, ph := range r.Phases {
		name := ph.Name
		if !ph.Recorded {
			name, warmUp = name+" *", true
		}
		c := ph.Counts
		t.add(name, seconds(ph.StartMS), seconds(ph.EndMS), decimal(ph.OfferedRate, 1), decimal(ph.GoodputRate, 1),
			number(c.Scheduled), number(c.OK), number(c.Rejected), number(c.Error), number(c.Timeout), number(c.Dropped), number(c.Unfinished))
	}
	t.render(p)
	if warmUp {
		p.line(p.paint(indent+"* not recorded", dim))
	}
	for _, ph := range r.Phases {
		if n := ph.Counts.Repeated; n > 0 {
			p.note(indent, fmt.Sprintf("%s attempts in %s were sent again under their keys", number(n), clean(ph.Name)), "")
		}
		if why := reasons(ph.Reasons); why != "" {
			p.note(fmt.Sprintf("%snot ok in %s: ", indent, clean(ph.Name)), why, "")
		}
	}
	v := r.Validity
	generator := fmt.Sprintf("behind schedule by %s at p50, %s at p99, %s at most; %s of the schedule was sent",
		formatMS(v.SlipP50MS), formatMS(v.SlipP99MS), formatMS(v.SlipMaxMS), FormatValue(v.ScheduledMet, UnitShare))
	if word, color := validityWord(v); v.Reason != "" {
		p.note(indent+"measurement: ", word+": "+v.Reason, color)
	} else {
		p.note(indent+"measurement: ", word, color)
	}
	p.note(indent+"generator: ", generator, "")
	if r.Run.Kind != LoadKind {
		p.note(indent+"system: ", "ready after "+took(r.Run.BootMS)+", drained "+took(r.Run.DrainMS)+" after the load", "")
	}
}

// validityWord is what a reader looks for first: VALID, GENERATOR-LIMITED or
// SYSTEM-LIMITED.
func validityWord(v Validity) (word, color string) {
	word = strings.ToUpper(strings.ReplaceAll(v.Outcome, "_", "-"))
	switch v.Outcome {
	case Valid, "":
		return "VALID", green
	case GeneratorLimited:
		return word, yellow
	}
	return word, ""
}

// reasons lists why attempts were not ok, the most frequent first.
func reasons(why map[string]uint64) string {
	names := make([]string, 0, len(why))
	for name := range why {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		if why[a] != why[b] {
			return int(min(1, max(-1, int64(why[b])-int64(why[a]))))
		}
		return strings.Compare(a, b)
	})
	for i, name := range names {
		names[i] = fmt.Sprintf("%s %s", name, number(why[name]))
	}
	return strings.Join(names, ", ")
}

func latencyTable(p *page, r *Result) {
	if len(r.Latency)+len(r.Completion) == 0 {
		return
	}
	p.title("Latency in ms")
	t := &table{columns: []column{
		{title: "what"}, {title: "phase"}, {title: "count", right: true},
		{title: "p50", right: true}, {title: "p90", right: true, spare: true}, {title: "p95", right: true, spare: true}, {title: "p99", right: true},
		{title: "p99.9", right: true, spare: true}, {title: "max", right: true}, {title: "service p99", right: true, spare: true},
	}}
	row := func(what string, l Latency, service string) {
		phase := l.Phase
		if phase == "" {
			phase = "all"
		}
		t.add(what, phase, number(l.Count), millis(l.P50MS), millis(l.P90MS), millis(l.P95MS), millis(l.P99MS), millis(l.P999MS), millis(l.MaxMS), service)
	}
	atLeast := uint64(0)
	for _, l := range r.Latency {
		if l.Clock != ResponseClock {
			continue
		}
		service := ""
		for _, s := range r.Latency {
			if s.Clock == ServiceClock && s.Op == l.Op && s.Phase == l.Phase {
				service = millis(s.P99MS)
			}
		}
		if l.Phase == "" {
			atLeast += l.AtLeast
		}
		row(l.Op, l, service)
	}
	for _, l := range r.Completion {
		row("completion", l, "")
	}
	t.render(p)
	clocks := "operations from when the attempt was due, service from its send"
	if len(r.Completion) > 0 {
		clocks += ", completion from accepted to the order's end"
	}
	p.note(indent, clocks, dim)
	if atLeast > 0 {
		p.note(indent, fmt.Sprintf("%s of the times are lower bounds: those attempts were dropped, timed out or unfinished, and count with the time they had waited", number(atLeast)), yellow)
	}
}

// millis renders milliseconds in a column: three figures are enough.
func millis(ms float64) string {
	switch {
	case ms < 10:
		return fmt.Sprintf("%.2f", ms)
	case ms < 100:
		return fmt.Sprintf("%.1f", ms)
	default:
		return number(int64(ms + 0.5))
	}
}

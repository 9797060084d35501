package reports

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
)

// TextOptions say what the terminal can show.
type TextOptions struct {
	Color bool
	Width int    // columns, at least 60; 0 is 100
	Dir   string // where the artifacts are; "" leaves their names bare
}

// Text renders a result for a terminal: the verdict, its reason, the numbers
// behind it, warnings, files, and the command that repeats the run.
func Text(w io.Writer, r *Result, o TextOptions) error {
	p := &page{width: o.Width, color: o.Color}
	if p.width <= 0 {
		p.width = 100
	}
	p.width = max(p.width, 60)
	for _, section := range []func(*page, *Result){
		verdict, ordersTable, invariantsTable, trafficTable, latencyTable, consumersTable,
		breakersTable, faultsTable, gatesTable, warnings,
	} {
		section(p, r)
	}
	files(p, r, o.Dir)
	_, err := io.WriteString(w, p.text.String())
	return err
}

// The colours of a page.
const (
	bold   = "\x1b[1m"
	dim    = "\x1b[2m"
	red    = "\x1b[31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	reset  = "\x1b[0m"
)

// page is the text as it grows.
type page struct {
	text  strings.Builder
	width int
	color bool
}

func (p *page) line(s string) { p.text.WriteString(strings.TrimRight(s, " ") + "\n") }

func (p *page) title(format string, args ...any) {
	p.line("")
	title := cut(clean(fmt.Sprintf(format, args...)), p.width)
	p.line(p.paint(title, bold))
}

// note writes a text below a table, in lines.
func (p *page) note(prefix, s, color string) {
	margin := strings.Repeat(" ", len([]rune(prefix)))
	for i, line := range wrap(clean(s), p.width-len(margin)) {
		if i > 0 {
			prefix = margin
		}
		p.line(prefix + p.paint(line, color))
	}
}

func (p *page) paint(s, color string) string {
	if !p.color || color == "" || s == "" {
		return s
	}
	return color + s + reset
}

func verdict(p *page, r *Result) {
	word, color := strings.ToUpper(string(r.Verdict.Outcome)), yellow
	switch r.Verdict.Outcome {
	case Pass:
		color = green
	case Fail, Integrity:
		color = red
	}
	how := []string{r.Run.Runtime, formatMS(float64(r.Run.DurationMS)), fmt.Sprintf("seed %d", r.Run.Seed)}
	if r.Run.Interrupted {
		how = append(how, "interrupted")
	}
	p.line(p.paint(word, bold+color) + "  " + clean(r.Scenario.Name) + " (" + clean(strings.Join(how, ", ")) + ")")
	if r.Verdict.Reason != "" {
		p.note("", r.Verdict.Reason, "")
	}
}

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
		if why := reasons(ph.Reasons); why != "" {
			p.note(fmt.Sprintf("%snot ok in %s: ", indent, clean(ph.Name)), why, "")
		}
	}
	v := r.Validity
	generator := fmt.Sprintf("behind schedule by %s at p50, %s at p99, %s at most; %s of the schedule was sent",
		formatMS(v.SlipP50MS), formatMS(v.SlipP99MS), formatMS(v.SlipMaxMS), FormatValue(v.ScheduledMet, UnitShare))
	color := ""
	if v.Outcome != "valid" && v.Outcome != "" {
		generator, color = "was the limit ("+v.Reason+"), "+generator, yellow
	}
	p.note(indent+"generator: ", generator, color)
	p.note(indent+"system: ", "ready after "+took(r.Run.BootMS)+", drained "+took(r.Run.DrainMS)+" after the load", "")
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
		row(l.Op, l, service)
	}
	for _, l := range r.Completion {
		row("completion", l, "")
	}
	t.render(p)
	p.note(indent, "operations from when the attempt was due, service from its send, completion from accepted to the order's end", dim)
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

func consumersTable(p *page, r *Result) {
	if len(r.Consumers) == 0 {
		return
	}
	end := r.lastMS()
	p.title("Consumers over %s", seconds(end))
	t := &table{columns: []column{
		{title: "group"}, {title: "max lag", right: true}, {title: "drained", right: true}, {title: "replicas", right: true},
		{title: "lag over time", spare: true}, {title: "ready replicas over time", spare: true},
	}}
	width := max(16, min(48, (p.width-56)/2))
	for _, c := range r.Consumers {
		drained := took(c.DrainMS)
		var lag, ready []step
		for _, l := range c.Lag {
			lag = append(lag, step{l.AtMS, l.Total})
		}
		fewest := c.MaxReplicas
		for _, n := range c.Replicas {
			ready = append(ready, step{n.AtMS, int64(n.Ready)})
			fewest = min(fewest, n.Ready)
		}
		replicas := number(c.MaxReplicas)
		if fewest != c.MaxReplicas {
			replicas = fmt.Sprintf("%d..%d", fewest, c.MaxReplicas)
		}
		t.add(c.Group, number(c.MaxLag), drained, replicas, sparkline(lag, 0, end, width), sparkline(ready, 0, end, width))
		if c.DrainMS < 0 {
			t.paint(2, yellow)
		}
	}
	t.render(p)
}

// lastMS is the last moment that the result tells of.
func (r *Result) lastMS() (ms int64) {
	for _, p := range r.Phases {
		ms = max(ms, p.EndMS)
	}
	if n := len(r.Series.TMS); n > 0 {
		ms = max(ms, r.Series.TMS[n-1])
	}
	for _, c := range r.Consumers {
		if n := len(c.Lag); n > 0 {
			ms = max(ms, c.Lag[n-1].AtMS)
		}
	}
	return ms
}

// shownTransitions is how many changes of a breaker the text shows.
const shownTransitions = 8

func breakersTable(p *page, r *Result) {
	if len(r.Breakers) == 0 {
		return
	}
	p.title("Breakers")
	t := &table{columns: []column{{title: "breaker"}, {title: "trips", right: true}, {title: "changes"}}}
	for _, b := range r.Breakers {
		changes := make([]string, 0, len(b.Transitions))
		for _, c := range b.Transitions[:min(shownTransitions, len(b.Transitions))] {
			changes = append(changes, seconds(c.AtMS)+" "+c.To)
		}
		if more := len(b.Transitions) - len(changes); more > 0 {
			changes = append(changes, fmt.Sprintf("and %d more", more))
		}
		t.add(b.Name, number(b.Trips), strings.Join(changes, ", "))
	}
	t.render(p)
}

// shownProof is how many lines of proof the text shows of each fault.
const shownProof = 3

func faultsTable(p *page, r *Result) {
	if len(r.Faults) == 0 {
		return
	}
	p.title("Faults")
	t := &table{columns: []column{
		{title: "fault"}, {title: "what", spare: true}, {title: "planned", right: true}, {title: "seen from", right: true}, {title: "to", right: true},
		{title: "detected", right: true}, {title: "recovered", right: true}, {title: "max lag", right: true, spare: true}, {title: "lag drained", right: true, spare: true},
	}}
	for _, f := range r.Faults {
		from, to := "no effect", ""
		detected, recovered, drained, lag := "", "", "", ""
		if f.Effective {
			from, to = seconds(f.Observed.StartMS), "stands"
			if f.Observed.EndMS >= 0 {
				to = seconds(f.Observed.EndMS)
			}
			detected, recovered, drained, lag = took(f.DetectMS), took(f.RecoverMS), took(f.LagDrainMS), number(f.MaxLag)
		}
		t.add(f.Name, f.Fault+" "+f.Target, seconds(f.Planned.StartMS), from, to, detected, recovered, lag, drained)
		if !f.Effective {
			t.paint(3, yellow)
		}
	}
	t.render(p)
	for _, f := range r.Faults {
		for _, line := range f.Proof[:min(shownProof, len(f.Proof))] {
			p.line(cut(fmt.Sprintf("%s%s: %s", indent, clean(f.Name), clean(line)), p.width))
		}
		if more := len(f.Proof) - shownProof; more > 0 {
			p.line(fmt.Sprintf("%s%s: and %d more in %s", indent, clean(f.Name), more, ResultFile))
		}
		if f.Error != "" {
			p.note(fmt.Sprintf("%s%s: ", indent, clean(f.Name)), f.Error, yellow)
		}
		if f.Effective && !f.Reverted {
			p.line(indent + p.paint(cut(clean(f.Name)+": was not undone", p.width-len(indent)), yellow))
		}
	}
}

func gatesTable(p *page, r *Result) {
	if len(r.Gates) == 0 {
		return
	}
	p.title("Gates")
	t := &table{columns: []column{{}, {title: "gate"}, {title: "value", right: true}, {title: "bound"}, {title: "metric"}}}
	for _, g := range r.Gates {
		metric := g.Metric
		switch {
		case g.During != "":
			metric += " during " + g.During
		case g.After != "":
			metric += " after " + g.After
		}
		value := "-"
		if g.Value != nil {
			value = FormatValue(*g.Value, g.Unit)
		}
		t.add(g.Outcome, g.ID, value, g.Bound, metric)
		switch g.Outcome {
		case "pass":
			t.paint(0, green)
		case "fail":
			t.paint(0, red)
		default:
			t.paint(0, yellow)
		}
	}
	t.render(p)
	for _, g := range r.Gates {
		if g.Detail != "" {
			p.note(fmt.Sprintf("%s%s: ", indent, clean(g.ID)), g.Detail, yellow)
		}
	}
}

func warnings(p *page, r *Result) {
	if len(r.Warnings) == 0 {
		return
	}
	p.title("Warnings")
	for _, w := range r.Warnings {
		p.note(indent+"- ", w, yellow)
	}
}

func files(p *page, r *Result, dir string) {
	if len(r.Artifacts) > 0 {
		p.title("Files")
		if dir != "" {
			p.line(indent + clean(filepath.Clean(dir)) + string(filepath.Separator))
		}
		p.note(indent, strings.Join(r.Artifacts, "  "), "")
	}
	if r.Run.Command != "" {
		p.line("")
		p.line("Again: " + clean(r.Run.Command))
	}
}

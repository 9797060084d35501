package reports

import (
	"fmt"
	"strings"
)

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
		{title: "detected", right: true}, {title: "recovered", right: true},
	}}
	for _, f := range r.Faults {
		from, to := "no effect", ""
		if f.Skipped != "" {
			from = "left out"
		}
		detected, recovered := "", ""
		if f.Effective {
			from, to = seconds(f.Observed.StartMS), "stands"
			if f.Observed.EndMS >= 0 {
				to = seconds(f.Observed.EndMS)
			}
			detected, recovered = took(f.DetectMS), took(f.RecoverMS)
		}
		t.add(f.Name, f.Fault+" "+f.Target, seconds(f.Planned.StartMS), from, to, detected, recovered)
		if !f.Effective && f.Skipped == "" {
			t.paint(3, yellow)
		}
	}
	t.render(p)
	damageTable(p, r)
	reactionTable(p, r)
	for _, f := range r.Faults {
		for _, line := range f.Proof[:min(shownProof, len(f.Proof))] {
			p.line(cut(fmt.Sprintf("%s%s: %s", indent, clean(f.Name), clean(line)), p.width))
		}
		if more := len(f.Proof) - shownProof; more > 0 {
			p.line(fmt.Sprintf("%s%s: and %d more in %s", indent, clean(f.Name), more, ResultFile))
		}
		if f.Skipped != "" {
			p.line(cut(fmt.Sprintf("%s%s: left out: %s", indent, clean(f.Name), clean(f.Skipped)), p.width))
		}
		if f.Error != "" {
			p.note(fmt.Sprintf("%s%s: ", indent, clean(f.Name)), f.Error, yellow)
		}
		if f.Effective && !f.Reverted {
			p.line(indent + p.paint(cut(clean(f.Name)+": was not undone", p.width-len(indent)), yellow))
		}
	}
}

// damageTable says what each fault did to the system, beside the time before.
func damageTable(p *page, r *Result) {
	t := &table{columns: []column{
		{title: "fault"}, {title: "ok/s during", right: true}, {title: "before", right: true}, {title: "failed", right: true},
		{title: "of budget", right: true}, {title: "longest outage", right: true},
	}}
	seen := false
	for _, f := range r.Faults {
		if !f.Effective || !f.During.Recorded {
			continue
		}
		seen = true
		before := "-"
		if f.Before.Recorded {
			before = decimal(f.Before.OKPerS, 0)
		}
		t.add(f.Name, decimal(f.During.OKPerS, 0), before, number(f.Failed), decimal(100*f.BudgetBurnt, 1)+"%", took(f.UnavailableMS))
	}
	if seen {
		t.render(p)
	}
}

// reactionTable says what the system did about each fault, of those about which
// it did anything.
func reactionTable(p *page, r *Result) {
	t := &table{columns: []column{
		{title: "fault"}, {title: "breaker open", right: true}, {title: "half open", right: true, spare: true}, {title: "closed", right: true, spare: true},
		{title: "max lag", right: true}, {title: "drained", right: true}, {title: "scaled out", right: true},
	}}
	seen := false
	for _, f := range r.Faults {
		if !f.Effective || f.BreakerOpenMS < 0 && f.BreakerHalfOpenMS < 0 && f.BreakerCloseMS < 0 && f.ScaleOutMS < 0 && f.MaxLag == 0 {
			continue
		}
		seen = true
		t.add(f.Name, seenAfter(f.BreakerOpenMS), seenAfter(f.BreakerHalfOpenMS), seenAfter(f.BreakerCloseMS),
			number(f.MaxLag), took(f.LagDrainMS), seenAfter(f.ScaleOutMS))
	}
	if seen {
		t.render(p)
	}
}

// seenAfter is a time after the injection, "-" for what was not seen.
func seenAfter(ms int64) string {
	if ms < 0 {
		return "-"
	}
	return took(ms)
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

package scenarios

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ordbench/ordbench/reports/gate"
	"github.com/ordbench/ordbench/system"
)

// judge reports what single keys can't show: names that lead nowhere, times
// that never come, gates that can't be measured. What could not be read was
// reported when it was read, and is left out here.
func (r *reader) judge(s *Scenario) {
	r.judgeSystem(s)
	r.judgeTraffic(s)
	r.judgeChaos(s)
	r.judgeGates(s)
}

// judgeSystem asks the system itself; the schema knows nearly all of its
// rules, and this is for those that it does not.
func (r *reader) judgeSystem(s *Scenario) {
	if len(r.problems) > 0 {
		return
	}
	if err := s.System.Validate(); err != nil {
		for message := range strings.SplitSeq(err.Error(), "\n") {
			r.complain(r.places[&s.System], "", "%s", message)
		}
	}
}

func (r *reader) judgeTraffic(s *Scenario) {
	t := &s.Traffic
	if len(t.Phases) == 0 {
		if _, read := r.places[&t.Phases]; read && !r.broken[&t.Phases] {
			r.complain(r.places[&t.Phases], "- {name: steady, rate: 100/s, for: 15s}", "no phases: there is no traffic")
		}
		return
	}
	if t.Mix["cancel_order"] > 0 && s.System.Coupling == system.CouplingSync {
		r.complain(r.places[&t.Mix], "leave cancel_order out, or coupling: async", "nothing is refunded where services call each other in line")
	}
	seen := names{r: r, what: "phase"}
	recorded, sure, arrivals := false, true, 0.0
	for i := range t.Phases {
		p := &t.Phases[i]
		seen.add(&p.Name, p)
		r.judgeShape(s, p)
		if p.Record {
			recorded = true
			arrivals += p.Law().Expected(p.For) + float64(p.Users)
		}
		sure = sure && !r.broken[&p.Rate] && !r.broken[&p.Record] && !r.broken[&p.For]
	}
	switch {
	case !sure:
	case !recorded:
		r.complain(r.places[&t.Phases], "leave record: false out of one of them", "no phase is recorded: there is nothing to report")
	case arrivals == 0 && len(r.problems) == 0:
		r.complain(r.places[&t.Phases], "", "the rate of every recorded phase is 0: there is nothing to report")
	}
}

// judgeShape reports a shape of traffic that contradicts itself or the others.
func (r *reader) judgeShape(s *Scenario, p *Phase) {
	closed := p.Arrivals == ArrivalsClosed
	first := &s.Traffic.Phases[0]
	switch {
	case r.broken[&p.Rate] || r.broken[&p.Arrivals] || r.broken[&p.Users]:
	case closed && p.Users == 0:
		r.complain(r.at(&p.Arrivals, p), "users: 10 in place of the rate", "a closed loop has users, not a rate")
	case !closed && p.Users > 0:
		r.complain(r.at(&p.Users, p), "write arrivals: closed", "users wait for their answers: that is a closed loop, and must be called so")
	case closed != (first.Arrivals == ArrivalsClosed):
		r.complain(r.places[p], "all phases closed, or none", "phase %q and phase %q: closed and open traffic do not mix", first.Name, p.Name)
	case closed && p.Users != first.Users:
		r.complain(r.at(&p.Users, p), "the same users in every phase", "phase %q has %d users, phase %q has %d", first.Name, first.Users, p.Name, p.Users)
	case closed && s.Traffic.Mix["follow_order"] > 0:
		r.complain(r.at(&p.Arrivals, p), "leave follow_order out of the mix", "the users of a closed loop make one request at a time, and follow_order makes several")
	case closed && s.Traffic.Retry.Tries > 1:
		r.complain(r.at(&p.Arrivals, p), "leave retry out", "the users of a closed loop make one request at a time, and a retry is another")
	case p.Think > 0 && p.Users == 0:
		r.complain(r.at(&p.Think, p), "", "only the users of a closed loop think")
	case p.Trace != nil && p.Arrivals == ArrivalsPoisson:
		r.complain(r.at(&p.Arrivals, p), "leave arrivals out", "a trace says itself when attempts arrive")
	case p.Sine != nil && p.Sine.High < p.Sine.Low:
		r.complain(r.at(&p.Sine.High, p), "", "high is below low")
	case p.Spike != nil && !r.broken[&p.For] && p.Spike.At >= p.For:
		r.complain(r.at(&p.Spike.At, p), "", "the spike comes %s after the start of a phase of %s", short(p.Spike.At), short(p.For))
	}
}

func (r *reader) judgeMoment(s *Scenario, f *Fault) {
	if r.broken[&f.At] {
		return
	}
	where := r.at(&f.At, f)
	at, known := s.Moment(f.At)
	if !known {
		if all := s.phases(false); len(all) > 0 {
			r.complain(where, suggest(f.At.Phase, all), "unknown phase %q", f.At.Phase)
		}
		return
	}
	for i := range s.Traffic.Phases {
		if r.broken[&s.Traffic.Phases[i].For] {
			return // nobody knows when the traffic ends
		}
	}
	if end := s.Length(); at >= end && end > 0 {
		r.complain(where, "", "%s is %s after the start, and the traffic ends at %s", f.At, short(at), short(end))
	}
}

func (r *reader) judgeGates(s *Scenario) {
	seen := names{r: r, what: "gate"}
	for i := range s.Gates {
		g := &s.Gates[i]
		if g.ID != "" {
			seen.add(&g.ID, g)
		}
		m, near, known := gate.Known(g.Metric)
		if !known && !r.broken[&g.Metric] {
			r.complain(r.at(&g.Metric, g), suggestMetric(g.Metric, near), "unknown metric %q", g.Metric)
		}
		if known && s.Traffic.Measure == MeasureBooks && !strings.HasPrefix(g.Metric, "orders.") {
			r.complain(r.at(&g.Metric, g), "measure: all, or a gate on orders", "the traffic says measure: books, and %s is not in the books", g.Metric)
		}
		r.judgeBounds(g)
		r.judgeScope(s, g, m, known)
	}
}

func (r *reader) judgeBounds(g *gate.Gate) {
	switch {
	case r.broken[&g.Min] || r.broken[&g.Max]:
	case r.unread(&g.Min) && r.unread(&g.Max):
		r.complain(r.places[g], "", "the gate has no bound: min or max")
	case g.Min != nil && g.Max != nil && *g.Min > *g.Max:
		r.complain(r.places[&g.Min], "", "min is above max: no value can pass")
	}
}

// unread says that the key is not in the document at all.
func (r *reader) unread(field any) bool {
	_, read := r.places[field]
	return !read
}

func (r *reader) judgeScope(s *Scenario, g *gate.Gate, m gate.Metric, known bool) {
	phase, fault := !r.unread(&g.During) && !r.broken[&g.During], !r.unread(&g.After) && !r.broken[&g.After]
	all := s.phases(false)
	faults := make([]string, len(s.Chaos))
	for i, f := range s.Chaos {
		faults[i] = f.Name
	}
	switch {
	case phase && len(all) == 0:
	case phase && !slices.Contains(all, g.During):
		r.complain(r.places[&g.During], suggest(g.During, all), "unknown phase %q", g.During)
	case phase && known && !m.During:
		r.complain(r.places[&g.During], "leave during out", "%s is not measured by phase", g.Metric)
	case phase && len(s.phases(true)) > 0 && !slices.Contains(s.phases(true), g.During):
		r.complain(r.places[&g.During], "", "phase %q is not recorded: the gate would have nothing to judge", g.During)
	}
	switch {
	case phase && fault:
		r.complain(r.places[&g.After], "", "during and after exclude each other")
	case fault && len(faults) == 0 && r.broken[&s.Chaos]:
	case fault && !slices.Contains(faults, g.After):
		hint := suggest(g.After, faults)
		if len(faults) == 0 {
			hint = "the scenario has no faults"
		}
		r.complain(r.places[&g.After], hint, "unknown fault %q", g.After)
	case fault && known && !m.After:
		r.complain(r.places[&g.After], "leave after out", "%s is not measured by fault", g.Metric)
	}
}

// suggestMetric is the hint for an unknown metric: the nearest where it is
// of the same family, and else the families.
func suggestMetric(name, near string) string {
	if nearest(name, []string{near}) != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	family := func(metric string) string { return metric[:strings.IndexByte(metric+".", '.')] }
	if family(name) == family(near) {
		return "the nearest is " + near
	}
	var families []string
	for _, m := range gate.Metrics() {
		if f := family(m.Name); !slices.Contains(families, f) {
			families = append(families, f)
		}
	}
	return "metrics begin with " + sentence(families)
}

// phases lists the names of the phases, or of the recorded ones.
func (s *Scenario) phases(recorded bool) []string {
	var names []string
	for _, p := range s.Traffic.Phases {
		if (p.Record || !recorded) && p.Name != "" && !slices.Contains(names, p.Name) {
			names = append(names, p.Name)
		}
	}
	return names
}

// names reports what is named twice.
type names struct {
	r    *reader
	what string
	seen map[string]place
}

func (n *names) add(name *string, owner any) {
	if *name == "" || n.r.broken[name] {
		return
	}
	where := n.r.at(name, owner)
	if first, twice := n.seen[*name]; twice {
		n.r.complain(where, "", "duplicate %s %q; the first is in line %d", n.what, *name, first.line)
		return
	}
	if n.seen == nil {
		n.seen = map[string]place{}
	}
	n.seen[*name] = where
}

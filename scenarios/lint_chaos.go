package scenarios

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ordbench/ordbench/chaos"
	"github.com/ordbench/ordbench/system"
)

func (r *reader) judgeChaos(s *Scenario) {
	seen := names{r: r, what: "fault"}
	for i := range s.Chaos {
		f := &s.Chaos[i]
		f.Source = "scenario"
		if f.Name == "" {
			f.Name = f.DefaultName()
			r.mark(&f.Name, r.places[f])
		}
		seen.add(&f.Name, f)
		r.judgeMoment(s, f)
		r.judgeSpec(s, f)
		if f.Times > 0 && f.Every == 0 && !r.broken[&f.Every] {
			r.complain(r.at(&f.Times, f), "say how often with every: 5s", "times without every")
		}
	}
	r.judgeNemesis(s)
	for i := range s.HaltWhen {
		g := &s.HaltWhen[i]
		switch {
		case r.broken[&g.Metric] || r.broken[&g.Above] || r.broken[&g.Below]:
		case (g.Above == nil) == (g.Below == nil):
			r.complain(r.places[g], "", "the condition needs one of above and below")
		}
	}
}

func (r *reader) judgeNemesis(s *Scenario) {
	n := s.Nemesis
	if n == nil {
		return
	}
	if n.Seed < 0 {
		n.Seed = s.Seed
	}
	if n.Longest < n.Shortest && !r.broken[&n.Longest] && !r.broken[&n.Shortest] {
		r.complain(r.at(&n.Longest, &s.Nemesis), "", "longest is below shortest")
	}
	for _, at := range []*At{&n.From, &n.Until} {
		if _, known := s.Moment(*at); !known && !r.broken[at] {
			r.complain(r.at(at, &s.Nemesis), suggest(at.Phase, s.phases(false)), "unknown phase %q", at.Phase)
		}
	}
	for i := range n.Faults {
		r.judgeSpec(s, &n.Faults[i])
	}
	if len(n.Faults) == 0 && !r.broken[&n.Faults] && !r.unread(&n.Faults) {
		r.complain(r.places[&n.Faults], "- {fault: kill, target: inventory}", "a nemesis without faults")
	}
}

// judgeSpec asks the catalogue, which knows faults, targets and options.
func (r *reader) judgeSpec(s *Scenario, f *Fault) {
	known := true
	for _, p := range f.Validate() {
		known = known && p.Field != "target"
		field := any(optionKey{f, p.Field})
		switch p.Field {
		case "fault":
			field = &f.Fault
		case "target":
			field = &f.Target
		}
		if !r.broken[field] {
			r.complain(r.at(field, f), p.Hint, "%s", p.Message)
		}
	}
	if !known || r.broken[&f.Target] || len(f.LinksOf()) > 0 {
		return
	}
	var replicas []string
	for _, c := range system.Components() {
		if f.Target == string(c) {
			if n, slots := chaos.Replicas(f.Spec), s.System.Slots(c); n > slots {
				r.complain(r.at(optionKey{f, "replicas"}, f), "", "%d replicas of %s, but there are at most %d", n, c, slots)
			}
			if d, _ := chaos.Find(f.Fault); s.System.Slots(c) < d.Least {
				r.complain(r.at(&f.Fault, f), fmt.Sprintf("set system.%s.replicas", c), "%s needs %d replicas of %s, and there is %d", f.Fault, d.Least, c, s.System.Slots(c))
			}
			return
		}
		for n := range s.System.Slots(c) {
			replicas = append(replicas, c.ReplicaName(n))
		}
	}
	if at := strings.LastIndexByte(f.Target, '-'); at > 0 && !slices.Contains(replicas, f.Target) {
		component := f.Target[:at]
		slots := s.System.Slots(system.Component(component))
		hint := fmt.Sprintf("known: %s-0 to %[1]s-%d", component, slots-1)
		if slots == 1 {
			hint = fmt.Sprintf("known: %s-0", component)
		}
		r.complain(r.at(&f.Target, f), hint, "there is no replica %q: %s has at most %d", f.Target, component, slots)
	}
}

package scenarios

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ordbench/ordbench/chaos"
)

// Fault is one fault and when it strikes.
type Fault struct {
	chaos.Spec
	At    At
	Every time.Duration // it strikes again and again; 0: once
	Times int           // how often, with Every; 0: until the traffic ends
}

// Nemesis draws faults at random times: the same seed draws the same.
type Nemesis struct {
	PerSecond float64
	From      At
	Until     At // zero: when the traffic ends
	Seed      int64
	Shortest  time.Duration
	Longest   time.Duration
	Faults    []Fault // without a time
}

// Guard ends the chaos when what it watches stays beyond a bound.
type Guard struct {
	Metric string
	Above  *float64
	Below  *float64
	For    time.Duration
}

// What a Guard watches, and the unit of its bound.
const (
	GuardErrors  = "errors.rate" // share of the attempts that did not end well, over the last second
	GuardGoodput = "goodput"     // attempts that did, per second
	GuardLag     = "lag"         // messages that the group which is furthest behind is behind
)

var guardUnits = map[string]string{GuardErrors: "%", GuardGoodput: "/s", GuardLag: ""}

// String is the condition as a person says it.
func (g Guard) String() string {
	text := g.Metric
	if g.Above != nil {
		text += " above " + g.format(*g.Above)
	}
	if g.Below != nil {
		text += " below " + g.format(*g.Below)
	}
	if g.For > 0 {
		text += " for " + short(g.For)
	}
	return text
}

func (g Guard) format(v float64) string {
	switch guardUnits[g.Metric] {
	case "%":
		return formatShare(v)
	case "/s":
		return formatRate(v)
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

// Timeline is the faults as the chaos engine takes them, repeats and drawn
// ones too; times count from the start of the first phase.
func (s *Scenario) Timeline() []chaos.Timed {
	var timeline []chaos.Timed
	for _, f := range s.Chaos {
		at, _ := s.Moment(f.At)
		for n := 0; ; n++ {
			spec := f.Spec
			if n > 0 {
				spec.Name = fmt.Sprintf("%s-%d", f.Name, n+1)
			}
			timeline = append(timeline, chaos.Timed{At: at, Spec: spec})
			at += f.Every
			if f.Every == 0 || f.Times > 0 && n+1 >= f.Times || at >= s.Length() {
				break
			}
		}
	}
	return append(timeline, s.nemesis().Schedule()...)
}

// nemesis is the random part as the chaos engine takes it.
func (s *Scenario) nemesis() chaos.Nemesis {
	n := s.Nemesis
	if n == nil {
		return chaos.Nemesis{}
	}
	from, _ := s.Moment(n.From)
	until, _ := s.Moment(n.Until)
	if n.Until == (At{}) {
		until = s.Length()
	}
	drawn := chaos.Nemesis{PerSecond: n.PerSecond, From: from, Until: until, Seed: uint64(n.Seed), Shortest: n.Shortest, Longest: n.Longest}
	for _, f := range n.Faults {
		f.Source = "nemesis"
		drawn.Faults = append(drawn.Faults, f.Spec)
	}
	return drawn
}

// Links names the links that the faults of the scenario work on.
func (s *Scenario) Links() []string {
	var links []string
	for _, t := range s.Timeline() {
		links = append(links, t.Spec.LinksOf()...)
	}
	slices.Sort(links)
	return slices.Compact(links)
}

// With is the same scenario with exactly these faults, at these times.
func (s *Scenario) With(timeline []chaos.Timed) *Scenario {
	out := *s
	out.Nemesis, out.Chaos = nil, nil
	for _, t := range timeline {
		out.Chaos = append(out.Chaos, Fault{Spec: t.Spec, At: At{Offset: t.At}})
	}
	out.resolve()
	return &out
}

// faultKeys are those of a fault in the timeline.
func faultKeys(f *Fault) rule {
	fields := []field{
		{"name", optional{nameOf(&f.Name, "fault"), func() bool { return f.Name == "" }}, false},
		{"at", moment(&f.At), true},
		{"every", optional{duration(&f.Every, 10*time.Millisecond, longest), func() bool { return f.Every == 0 }}, false},
		{"times", optional{whole(&f.Times, 1, 100_000), func() bool { return f.Times == 0 }}, false},
	}
	return object{of: "the fault", flow: true, fields: append(fields, specKeys(f)...)}
}

// drawnKeys are those of a fault that a nemesis draws.
func drawnKeys(f *Fault) rule {
	return object{of: "the fault", flow: true, fields: specKeys(f)}
}

func specKeys(f *Fault) []field {
	fields := []field{
		{"fault", words(&f.Fault), true},
		{"target", words(&f.Target), true},
	}
	for _, o := range chaos.AllOptions() {
		fields = append(fields, field{o.Name, optionOf(f, o), false})
	}
	return fields
}

// optionKey is the place of an option in a fault, for problems to point at.
type optionKey struct {
	fault *Fault
	name  string
}

// optionOf is one option of a fault. What it can be is for the catalogue to
// say, which knows the fault.
func optionOf(f *Fault, o chaos.Option) rule {
	set := func(text string) *wrong {
		if f.Options == nil {
			f.Options = chaos.Options{}
		}
		f.Options[o.Name] = text
		return nil
	}
	get := func() string { return f.Options[o.Name] }
	return optional{value{optionKey{f, o.Name}, "a " + string(o.Kind), set, get}, func() bool { return f.Options[o.Name] == "" }}
}

// nemesisKeys are the keys of the random part, which is there only where the
// document has it.
type nemesisKeys struct{ s *Scenario }

func (n nemesisKeys) keys() object {
	to := n.s.Nemesis
	return object{of: "nemesis", fields: []field{
		{"rate", rate(&to.PerSecond), true},
		{"from", moment(&to.From), false},
		{"until", optional{moment(&to.Until), func() bool { return to.Until == (At{}) }}, false},
		{"seed", whole(&to.Seed, 0, 1<<62), false},
		{"shortest", duration(&to.Shortest, 10*time.Millisecond, longest), false},
		{"longest", duration(&to.Longest, 10*time.Millisecond, longest), false},
		{"faults", listOf[Fault]{to: &to.Faults, want: "a list of faults", item: drawnKeys}, true},
	}}
}

func (n nemesisKeys) read(r *reader, at *node) {
	n.s.Nemesis = &Nemesis{Seed: -1, Shortest: time.Second, Longest: 5 * time.Second}
	r.mark(&n.s.Nemesis, at.place)
	n.keys().read(r, at)
}

func (n nemesisKeys) write() *node {
	if n.s.Nemesis == nil {
		return nil
	}
	return n.keys().write()
}

// guardList writes guards only where there are some.
type guardList struct{ listOf[Guard] }

func (g guardList) write() *node {
	if len(*g.to) == 0 {
		return nil
	}
	return g.listOf.write()
}

func guardKeys(g *Guard) rule {
	bound := func(to **float64) rule {
		return optional{value{to, "a bound", func(s string) *wrong {
			var v float64
			var w *wrong
			switch {
			case strings.HasSuffix(s, "%"):
				v, w = parseShare(s)
			case strings.Contains(s, "/"):
				v, w = parseRate(s)
			default:
				v, w = parseBound(s, "")
			}
			*to = &v
			return w
		}, func() string { return g.format(**to) }}, func() bool { return *to == nil }}
	}
	return object{of: "the condition", flow: true, fields: []field{
		{"metric", oneOf(&g.Metric, []string{GuardErrors, GuardGoodput, GuardLag}), true},
		{"above", bound(&g.Above), false},
		{"below", bound(&g.Below), false},
		{"for", optional{duration(&g.For, 0, longest), func() bool { return g.For == 0 }}, false},
	}}
}

func (f Fault) describe() string {
	what := describe(f.Spec)
	if f.Every > 0 {
		what += ", every " + short(f.Every)
	}
	if f.Times > 0 {
		what += fmt.Sprintf(", %d times", f.Times)
	}
	return what
}

// describe is a fault on a line: "kill 2 of inventory, restart after 2s".
func describe(s chaos.Spec) string {
	what := s.Fault + " " + s.Target
	if n := s.Options["replicas"]; n != "" && n != "all" && n != "0" {
		what = fmt.Sprintf("%s %s of %s", s.Fault, n, s.Target)
	}
	for _, o := range chaos.AllOptions() {
		if v := s.Options[o.Name]; v != "" && o.Name != "replicas" {
			what += fmt.Sprintf(", %s %s", strings.ReplaceAll(o.Name, "_", " "), v)
		}
	}
	return what
}

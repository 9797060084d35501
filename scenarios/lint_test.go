package scenarios

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// sound is a scenario without a problem, into which each row of the tables
// puts one.
const sound = `name: demo
seed: 7
system:
  inventory: {replicas: {min: 1, max: 4}, work: 5ms}
  patterns: {outbox: on, inbox: on, breaker: on}
traffic:
  customers: 100
  mix: {place_order: 80%, read_order: 20%}
  phases:
    - {name: warm-up, rate: 50/s, for: 5s, record: false}
    - {name: steady, rate: 100/s, for: 15s}
chaos:
  - {name: kill-inventory, at: steady+3s, fault: kill, target: inventory, restart_after: 2s}
gates:
  - {id: no-loss, metric: orders.lost, max: 0}
  - {id: p99, metric: latency.place_order.p99, during: steady, max: 250ms}
`

// part is the sound scenario from one text up to another, "" being the end.
func part(from, to string) string {
	_, rest, _ := strings.Cut(sound, from)
	if to != "" {
		rest, _, _ = strings.Cut(rest, to)
	}
	return from + rest
}

var kindsOfProblem = []struct{ name, old, new string }{
	{"unknown key at the top", "seed: 7", "sed: 7"},
	{"unknown key deep down", "work: 5ms", "werk: 5ms"},
	{"unknown key near nothing", "customers: 100", "flavour: vanilla"},
	{"misspelt key is not reported as missing", "rate: 100/s, for", "rat: 100/s, for"},
	{"misspelt bound is not reported as missing", "max: 250ms", "mx: 250ms"},
	{"missing name", "name: demo\n", ""},
	{"missing traffic", part("traffic:", "chaos:"), ""},
	{"missing phases", part("  phases:", "chaos:"), ""},
	{"missing keys of a fault", "at: steady+3s, fault: kill, target: inventory, ", ""},
	{"missing rate", "rate: 100/s, ", ""},
	{"name that is none", "name: demo", "name: 7up/../x"},
	{"key that comes later", "  patterns: {", "  runtime: docker\n  patterns: {"},
	{"unknown coupling", "  patterns: {", "  coupling: loose\n  patterns: {"},
	{"unknown consistency", "  patterns: {", "  consistency: 3pc\n  patterns: {"},
	{"database that is none", "  patterns: {", "  database: {url: books.db}\n  patterns: {"},
	{"password in a URL", "  patterns: {", "  database: {url: \"postgres://me:secret@db/x\"}\n  patterns: {"},
	{"password behind a URL", "  patterns: {", "  database: {url: \"postgres://me@db/x?password=secret\"}\n  patterns: {"},
	{"volume without a unit it knows", "  patterns: {", "  broker: {volume_size: 3 crates}\n  patterns: {"},
	{"volume too small for its server", "  patterns: {", "  database: {volume_size: 64MiB}\n  patterns: {"},
	{"value that comes later", "patterns: {", "scaling: {by: cpu}\n  patterns: {"},
	{"mapping in place of a value", "seed: 7", "seed: {a: 7}"},
	{"list in place of a mapping", "  patterns: {outbox: on, inbox: on, breaker: on}", "  patterns: [outbox]"},
	{"value in place of a list", part("gates:", ""), "gates: none\n"},
	{"value in place of a mix", "mix: {place_order: 80%, read_order: 20%}", "mix: 80%"},
	{"word in place of a number", "seed: 7", "seed: seven"},
	{"negative number", "seed: 7", "seed: -7"},
	{"share without a sign", "  patterns: {", "  payment: {decline: 2}\n  patterns: {"},
	{"share of more than all", "  patterns: {", "  payment: {timeout: 101%}\n  patterns: {"},
	{"number out of range", "customers: 100", "customers: 0"},
	{"no value", "seed: 7", "seed:"},
	{"bad switch", "outbox: on", "outbox: maybe"},
	{"bad duration", "for: 15s", "for: 15x"},
	{"duration without a unit", "for: 15s", "for: 15"},
	{"negative duration", "work: 5ms", "work: -5ms"},
	{"empty phase", "for: 15s", "for: 0s"},
	{"absurd duration", "for: 15s", "for: 1000h"},
	{"bad rate", "rate: 100/s", "rate: fast"},
	{"rate without a unit", "rate: 100/s", "rate: 100"},
	{"rate with a wrong unit", "rate: 100/s", "rate: 100/fortnight"},
	{"negative rate", "rate: 100/s", "rate: -100/s"},
	{"absurd rate", "rate: 100/s", "rate: 100000000/s"},
	{"half a ramp", "rate: 100/s", "rate: 100..1000/s"},
	{"ramp into nothing", "rate: 100/s", "rate: 100/s.."},
	{"rate and steps", "rate: 100/s", "rate: 100/s, steps: [1/s, 2/s]"},
	{"bad step", "rate: 100/s", "steps: [1/s, two]"},
	{"unknown arrivals", "for: 15s", "for: 15s, arrivals: possion"},
	{"bad rate limit", "  patterns", "  gateway: {rate_limit: lots}\n  patterns"},
	{"address for the neighbours", "  patterns", "  gateway: {addr: 0.0.0.0:80}\n  patterns"},
	{"replicas min above max", "min: 1, max: 4", "min: 5, max: 4"},
	{"mix above 100%", "read_order: 20%", "read_order: 30%"},
	{"mix below 100%", ", read_order: 20%", ""},
	{"impossible percentage", "80%, read_order: 20%", "120%, read_order: 0%"},
	{"percentage without its sign", "place_order: 80%", "place_order: 80"},
	{"unknown operation", "read_order: 20%", "raed_order: 20%"},
	{"no phases", part("    - {name: warm-up", "chaos:"), "    []\n"},
	{"no recorded phase", "for: 15s", "for: 15s, record: false"},
	{"no traffic", "for: 5s, record: false}\n    - {name: steady, rate: 100/s", "for: 5s, record: false}\n    - {name: steady, rate: 0/s"},
	{"duplicate phase", "name: warm-up", "name: steady"},
	{"duplicate fault", "gates:", "  - {name: kill-inventory, at: 1s, fault: restart, target: order}\ngates:"},
	{"duplicate gate", "id: p99", "id: no-loss"},
	{"unknown fault", "fault: kill", "fault: kil"},
	{"unknown target", "target: inventory", "target: inventroy"},
	{"replica that never is", "target: inventory", "target: inventory-4"},
	{"more replicas than there are", "restart_after: 2s", "replicas: 5"},
	{"option of another fault", "fault: kill", "fault: pause"},
	{"unknown option", "restart_after: 2s", "restart_afer: 2s"},
	{"unknown phase of a fault", "at: steady+3s", "at: stedy+3s"},
	{"bad moment", "at: steady+3s", "at: steady+soon"},
	{"fault after the end of traffic", "at: steady+3s", "at: steady+15s"},
	{"absolute fault after the end of traffic", "at: steady+3s", "at: 1m"},
	{"unknown metric", "latency.place_order.p99", "latency.place_order.p98"},
	{"metric near nothing", "latency.place_order.p99", "happiness"},
	{"unknown operation in a metric", "latency.place_order.p99", "latency.buy.p99"},
	{"unknown phase in a gate", "during: steady", "during: stead"},
	{"unknown fault in a gate", "max: 0", "max: 0, after: kill-order"},
	{"gate on a phase that is not recorded", "during: steady", "during: warm-up"},
	{"gate on a phase where there are none", "max: 0", "max: 0, during: steady"},
	{"gate on a fault where there are none", "during: steady", "after: kill-inventory"},
	{"gate on a phase and a fault", "metric: orders.lost, max: 0", "metric: lag.max, max: 0, during: steady, after: kill-inventory"},
	{"gate without a bound", ", max: 250ms", ""},
	{"gate with a bound in the wrong unit", "max: 250ms", "max: 1%"},
	{"gate with a bound without a unit", "max: 250ms", "max: 250"},
	{"gate that nothing can pass", "max: 250ms", "min: 300ms, max: 250ms"},
	{"gate with an impossible percentage", "metric: orders.lost, max: 0", "metric: errors.rate, max: 101%"},
	{"gate with a negative bound", "max: 0", "max: -1"},
	{"unknown failpoint", "fault: kill, target: inventory, restart_after: 2s", "fault: failpoint, target: inventory, point: inventory.aftr-commit"},
	{"failpoint of another service", "fault: kill, target: inventory, restart_after: 2s", "fault: failpoint, target: inventory, point: payment.after-charge"},
	{"topic that is not there", "fault: kill, target: inventory, restart_after: 2s", "fault: produce-errors, target: broker, topic: order-topic"},
	{"gate on latency where only the books are measured", "customers: 100", "customers: 100\n  measure: books"},
	{"unknown measure", "customers: 100", "customers: 100\n  measure: book"},
	{"duplicate key", "seed: 7", "seed: 7\nseed: 8"},
	{"duplicate key in a line", "max: 0", "max: 0, max: 1"},
	{"tabs", "  inventory:", "\tinventory:"},
	{"shape in place of a law", "rate: 100/s, for: 15s", "rate: 100/s, for: 15s, arrivals: sine"},
	{"two shapes", "rate: 100/s, for: 15s", "rate: 100/s, sine: {low: 1/s, high: 2/s, period: 1s}, for: 15s"},
	{"sine without its keys", "rate: 100/s, for: 15s", "sine: {}, for: 15s"},
	{"sine upside down", "rate: 100/s, for: 15s", "sine: {low: 9/s, high: 2/s, period: 1s}, for: 15s"},
	{"spike after its phase", "rate: 100/s, for: 15s", "spike: {base: 1/s, peak: 9/s, at: 20s, hold: 1s}, for: 15s"},
	{"spike with a key of another", "rate: 100/s, for: 15s", "spike: {base: 1/s, peak: 9/s, at: 2s, hold: 1s, period: 3s}, for: 15s"},
	{"trace that is not there", "rate: 100/s, for: 15s", "trace: /nowhere/arrivals.csv, for: 15s"},
	{"users in an open loop", "rate: 100/s, for: 15s", "users: 5, for: 15s"},
	{"cancelling where nothing is refunded", part("  patterns", "  phases"), "  coupling: sync\ntraffic:\n  mix: {place_order: 80%, cancel_order: 20%}\n"},
	{"retry of no try", "  customers", "  retry: {tries: 0, after: 2m}\n  customers"},
	{"idempotency that is neither", "inbox: on", "inbox: on, idempotency: maybe"},
	{"concurrency of nothing", "work: 5ms", "work: 5ms, concurrency: 0"},
	{"closed loop without users", "rate: 100/s, for: 15s", "rate: 100/s, for: 15s, arrivals: closed"},
	{"closed and open phases", "rate: 100/s, for: 15s", "users: 5, for: 15s, arrivals: closed"},
	{"think in an open loop", "rate: 100/s, for: 15s", "rate: 100/s, think: 1s, for: 15s"},
	{"unclosed brace", "work: 5ms}", "work: 5ms"},
	{"wrong indentation", "  patterns", "   patterns"},
	{"value with a colon", "seed: 7", "description: a: b"},
	{"anchor and alias", "seed: 7", "seed: &x 7\ndescription: *x"},
	{"merge key", "customers: 100", "<<: *x"},
	{"tag", "seed: 7", "seed: !!int 7"},
	{"several documents", "gates:", "---\ngates:"},
	{"control character", "name: demo", "name: \"\x1b[2J\""},
	{"invalid UTF-8", "name: demo", "name: d\xe9mo"},
	{"empty file", sound, ""},
	{"a scalar for a file", sound, "hello\n"},
}

func TestEveryKindOfProblemIsReportedWithItsPlace(t *testing.T) {
	var all strings.Builder
	for _, row := range kindsOfProblem {
		document := strings.Replace(sound, row.old, row.new, 1)
		if document == sound {
			t.Errorf("%s: the row changes nothing", row.name)
		}
		problems := problemsOf(t, "demo.yaml", document)
		if len(problems) == 0 {
			t.Errorf("%s: no problem found", row.name)
			continue
		}
		fmt.Fprintf(&all, "== %s\n%v\n\n", row.name, error(problems))
	}
	golden(t, "problems.golden", all.String())
}

func TestAllProblemsComeInOnePass(t *testing.T) {
	document := sound
	for _, edit := range [][2]string{
		{"customers", "custmers"}, {"for: 15s", "for: 15x"}, {"50/s", "-50/s"},
		{"during: steady", "during: stedy"}, {"target: inventory", "target: inventry"},
	} {
		document = strings.Replace(document, edit[0], edit[1], 1)
	}
	problems := problemsOf(t, "five.yaml", document)
	if len(problems) != 5 {
		t.Errorf("%d problems, want 5", len(problems))
	}
	golden(t, "five.golden", problems.Error()+"\n")
}

func TestProblemsOfOverridesPointIntoTheOverride(t *testing.T) {
	_, err := Parse("demo.yaml", []byte(sound),
		"traffic.phases.steady.rate=5",
		"system.patterns.outbx=off",
		"traffic.phases.stedy.rate=5/s",
		"outbox",
		"seed={a: b",
		"chaos.0.target=ordr",
		"traffic.mix={place_order: 50%}",
		"traffic.phases.9.rate=5/s",
		"system..order=1",
		"name.first=x",
		"gates.no-loss.max=",
		"description=two\nlines",
	)
	golden(t, "overrides.golden", fmt.Sprintln(err))
}

func TestLongAndHostileLinesArePrintedSafely(t *testing.T) {
	long := Problem{File: "x.yaml", Line: 12345, Column: 301, Message: "here", Source: strings.Repeat("a", 300) + "b" + strings.Repeat("c", 300)}
	tabs := Problem{File: "x.yaml", Line: 1, Column: 4, Message: "tabs", Source: "\ta:\tb", Hint: "as they are"}
	wild := Problem{File: "x.yaml", Line: 1, Column: 99, Message: "esc \x1b[31m", Source: "\x1b]0;title\a é"}
	golden(t, "printing.golden", Problems{long, tabs, wild}.Error()+"\n")
}

// problemsOf parses and checks what holds for every problem.
func problemsOf(t *testing.T, name, document string) Problems {
	t.Helper()
	_, err := Parse(name, []byte(document))
	if err == nil {
		return nil
	}
	var problems Problems
	if !errors.As(err, &problems) {
		t.Fatalf("%T is not Problems: %v", err, err)
	}
	lines := strings.Split(document, "\n")
	for _, p := range problems {
		if p.File == "" || p.Message == "" || p.Line < 1 || p.Line > len(lines) || p.Column < 1 {
			t.Errorf("problem without a place: %+v", p)
		}
		if p.Column > len([]rune(p.Source))+1 {
			t.Errorf("column %d is not in the line: %+v", p.Column, p)
		}
	}
	return problems
}

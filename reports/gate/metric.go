package gate

import (
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"

	"github.com/ordbench/ordbench/reports"
)

// The units of metrics.
const (
	Milliseconds = reports.UnitMS
	Count        = reports.UnitCount
	Share        = reports.UnitShare // 0.01 is 1%
	PerSecond    = reports.UnitPerSecond
)

// Metric is something that a gate can bound. Name may be a pattern:
// "latency.OP.p99" stands for every operation.
type Metric struct {
	Name    string `json:"name"`
	Unit    string `json:"unit"`
	During  bool   `json:"during"` // a gate may name a phase
	After   bool   `json:"after"`  // a gate may name a fault
	Summary string `json:"summary"`

	read  func(scope) reading
	parts []string // what stood for the wildcards of the pattern
}

// Metrics lists every metric, patterns included.
func Metrics() []Metric { return slices.Clone(registry) }

// Known finds a metric by its full name, "latency.place_order.p99". Where
// there is none, nearest is the name that comes closest.
func Known(name string) (m Metric, nearest string, ok bool) {
	if m, ok = find(name); ok && !slices.Contains(m.parts, bareOp) {
		return m, "", true
	}
	return Metric{}, nearestTo(name), false
}

// find is Known for the results of a bare load too.
func find(name string) (m Metric, ok bool) {
	for _, m := range registry {
		if parts, ok := match(m.Name, name); ok {
			m.Name, m.parts = name, parts
			return m, true
		}
	}
	return Metric{}, false
}

// bareOp is the operation of a load without a scenario, which no scenario has.
const bareOp = "request"

// Format renders a value in the metric's unit for people.
func (m Metric) Format(value float64) string { return reports.FormatValue(value, m.Unit) }

// match compares a name with a pattern. Words in capitals stand for the
// names of the vocabulary.
func match(pattern, name string) (parts []string, ok bool) {
	words, given := strings.Split(pattern, "."), strings.Split(name, ".")
	if len(words) != len(given) {
		return nil, false
	}
	for i, w := range words {
		names, wild := vocabulary[w]
		switch {
		case wild && (slices.Contains(names, given[i]) || w == "OP" && given[i] == bareOp):
			parts = append(parts, given[i])
		case wild || w != given[i]:
			return nil, false
		}
	}
	return parts, true
}

// vocabulary is what the capital words of the patterns stand for.
var vocabulary = map[string][]string{
	"OP":    {"place_order", "read_order", "follow_order", "cancel_order"},
	"GROUP": {"inventory-group", "payment-group", "order-group", "notification-group"},
}

// nearestTo suggests a name for an unknown one.
func nearestTo(name string) string {
	best, distance := "", -1
	for _, m := range registry {
		for _, candidate := range expand(m.Name) {
			if d := levenshtein.ComputeDistance(name, candidate); distance < 0 || d < distance {
				best, distance = candidate, d
			}
		}
	}
	return best
}

func expand(pattern string) []string {
	for wild, names := range vocabulary {
		if strings.Contains(pattern, wild) {
			full := make([]string, len(names))
			for i, n := range names {
				full[i] = strings.Replace(pattern, wild, n, 1)
			}
			return full
		}
	}
	return []string{pattern}
}

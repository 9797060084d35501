package scenarios

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ordbench/ordbench/loadgen/shop"
	"github.com/ordbench/ordbench/reports/gate"
)

// The rules that are neither a single value, nor a plain object, nor a list.

// span is a number of replicas: "3", or {min: 1, max: 20}.
type span struct {
	min, max *int
	most     int64
}

func (s span) keys() object {
	return object{of: "replicas", flow: true, fields: []field{
		{"min", whole(s.min, 1, s.most), false},
		{"max", whole(s.max, 1, s.most), false},
	}}
}

func (s span) read(r *reader, n *node) {
	if n.shape != mapping {
		whole(s.min, 1, s.most).read(r, n)
		if !r.broken[s.min] && n.shape == scalar {
			*s.max = *s.min
		}
		return
	}
	s.keys().read(r, n)
	if !r.broken[s.min] && !r.broken[s.max] && *s.min > *s.max {
		r.complain(r.at(s.min, s.max), "", "min %d is above max %d", *s.min, *s.max)
	}
}

func (s span) write() *node { return s.keys().write() }

// operations is what a mix can hold.
var operations = func() (names []string) {
	for _, op := range shop.Ops() {
		names = append(names, string(op))
	}
	return names
}()

// mix is the share of each operation.
type mix struct{ to *map[string]float64 }

func (m mix) read(r *reader, n *node) {
	r.mark(m.to, n.place)
	switch n.shape {
	case absent, refused:
		return
	case mapping:
	default:
		r.complain(n.place, "write {place_order: 80%, read_order: 20%}", "want a mapping of operations to percentages, not %s", n.shape)
		return
	}
	*m.to = map[string]float64{}
	sum, whole := 0.0, true
	for _, e := range n.entries {
		if !slices.Contains(operations, e.key.text) {
			r.complain(e.key.place, suggest(e.key.text, operations), "unknown operation %q", e.key.text)
			whole = false
			continue
		}
		var share float64
		v := value{&share, "a percentage", func(s string) (w *wrong) { share, w = parseShare(s); return w }, nil}
		v.read(r, e.value)
		whole = whole && !r.broken[v.to]
		(*m.to)[e.key.text] = share
		sum += share
	}
	if off := sum - 1; whole && (off > 1e-9 || off < -1e-9) {
		r.complain(n.place, "", "the mix adds up to %s, not 100%%", formatShare(sum))
	}
}

func (m mix) write() *node {
	out := &node{shape: mapping, flow: true}
	for _, op := range slices.Sorted(maps.Keys(*m.to)) {
		out.entries = append(out.entries, entry{
			&node{shape: scalar, text: op}, &node{shape: scalar, text: formatShare((*m.to)[op])},
		})
	}
	return out
}

// oneKey is an object that needs one of several keys, and only one.
type oneKey struct {
	object
	of     []string
	to     any // address of what the first is read into
	chosen func() string
}

func (x oneKey) read(r *reader, n *node) {
	x.object.read(r, n)
	if n.shape != mapping {
		return
	}
	var first string
	for _, key := range x.of {
		found := n.find(key)
		switch {
		case found == nil:
		case first != "":
			r.complain(found.place, "", "%q and %q exclude each other", first, key)
		default:
			first = key
		}
	}
	if first != "" {
		return
	}
	r.broken[x.to] = true
	if !slices.ContainsFunc(x.of, func(key string) bool { return r.meant(n, key) }) {
		quoted := make([]string, len(x.of))
		for i, key := range x.of {
			quoted[i] = strconv.Quote(key)
		}
		r.complain(n.place, "", "%s lacks %s", x.object.of, sentence(quoted))
	}
}

func (x oneKey) write() *node {
	out := x.object
	out.fields = slices.DeleteFunc(slices.Clone(x.fields), func(f field) bool {
		return slices.Contains(x.of, f.key) && f.key != x.chosen()
	})
	return out.write()
}

// made is an object that is there only if it is written.
type made[T any] struct {
	to   **T
	keys func(*T) object
}

func (m made[T]) read(r *reader, n *node) {
	*m.to = new(T)
	r.mark(m.to, n.place)
	if n.shape == absent {
		n = &node{place: n.place, shape: mapping} // so that each key is missed
	}
	m.keys(*m.to).read(r, n)
}

func (m made[T]) write() *node {
	if *m.to == nil {
		return nil
	}
	return m.keys(*m.to).write()
}

// gateRule is a gate, which also remembers its line and takes its metric for
// a name.
type gateRule struct {
	gate *gate.Gate
	object
}

func (g gateRule) read(r *reader, n *node) {
	g.object.read(r, n)
	g.gate.Line = n.line
	if r.meant(n, "min") || r.meant(n, "max") {
		r.broken[&g.gate.Min] = true
	}
	if name := strings.ReplaceAll(g.gate.Metric, ".", "-"); g.gate.ID == "" && named.MatchString(name) {
		g.gate.ID = name
	}
}

// bound is a threshold in the unit of a metric. The metric may stand after
// the bound, so that the bound is read last.
type bound struct {
	to     **float64
	metric *string
}

func (b bound) read(r *reader, n *node) {
	r.mark(b.to, n.place)
	r.after = append(r.after, func() {
		m, _, known := gate.Known(*b.metric)
		if !known { // reported at the metric
			r.broken[b.to] = true
			return
		}
		var v float64
		value{b.to, "a bound such as " + b.example(m), func(s string) (w *wrong) {
			if v, w = parseBound(s, m.Unit); w == nil {
				*b.to = &v
			}
			return w
		}, nil}.read(r, n)
	})
}

func (b bound) write() *node {
	if *b.to == nil {
		return nil
	}
	m, _, _ := gate.Known(*b.metric)
	return &node{shape: scalar, text: formatBound(**b.to, m.Unit)}
}

func (b bound) example(m gate.Metric) string {
	switch m.Unit {
	case gate.Milliseconds:
		return "250ms"
	case gate.Share:
		return "1%"
	case gate.PerSecond:
		return "50/s"
	}
	return "10"
}

func parseBound(s, unit string) (float64, *wrong) {
	switch unit {
	case gate.Milliseconds:
		d, w := parseDuration(s)
		return float64(d) / 1e6, w
	case gate.Share:
		return parseShare(s)
	case gate.PerSecond:
		return parseRate(s)
	}
	number, minus := strings.CutPrefix(s, "-")
	n, err := strconv.ParseFloat(number, 64)
	switch {
	case err != nil || !plain.MatchString(number):
		return 0, wrongf("", "%q is not a number", s)
	case minus:
		return 0, wrongf("", "%q is negative", s)
	}
	return n, nil
}

func formatBound(v float64, unit string) string {
	switch unit {
	case gate.Milliseconds:
		return short(time.Duration(math.Round(v * 1e6)))
	case gate.Share:
		return formatShare(v)
	case gate.PerSecond:
		return formatRate(v)
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

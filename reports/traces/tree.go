package traces

import (
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/ordbench/ordbench/reports"
	"github.com/ordbench/ordbench/system/telemetry/otlp"
)

// span is what is kept of a span. It has no pointers, so that the collector of
// garbage passes by.
type span struct {
	id, parent              uint64
	start, end              int64 // nanoseconds of the Unix epoch
	name, service, instance uint16
	step                    step
	kind                    uint8
	failed, interrupted     bool
	linked                  bool // it belongs to a batch's trace; the parent is what it is linked to
}

// tree is the trace of one order.
type tree struct {
	order   orderID
	spans   []span
	touched time.Time
	replay  bool   // the order was placed in another trace
	status  string // that its spans tell of, "" before its end
}

// add files a span. An exporter that had no answer sends again, so a span that
// is there already is not another; one that has ended takes the place of what
// was known when its process was gone.
func (t *tree) add(s span) {
	for i, have := range t.spans {
		if have.id == s.id && have.parent == s.parent {
			if have.interrupted && !s.interrupted {
				t.spans[i] = s
			}
			return
		}
	}
	if len(t.spans) < mostSpans {
		if t.spans == nil {
			t.spans = make([]span, 0, 12) // what most orders need
		}
		t.spans = append(t.spans, s)
	}
}

func (t *tree) has(want step) bool {
	return slices.ContainsFunc(t.spans, func(s span) bool { return s.step == want })
}

// gaps says what the tree of an order in this status lacks.
func (t *tree) gaps(status string, inline bool) []string {
	var gaps []string
	need, err := stepsTo(status)
	if err != nil {
		gaps = append(gaps, err.Error())
	}
	if inline {
		need &= entered | placed
	}
	for _, n := range stepNames {
		if need&n.step != 0 && !t.has(n.step) {
			gaps = append(gaps, n.name)
		}
	}
	for _, s := range t.spans {
		if s.step == entered { // the root, whatever the client says it is part of
			continue
		}
		if !slices.ContainsFunc(t.spans, func(p span) bool { return p.id == s.parent && !p.linked }) {
			gaps = append(gaps, fmt.Sprintf("span %016x, the parent of %016x", s.parent, s.id))
		}
	}
	return gaps
}

// find returns the first span of a step that did not fail, and of those that
// were cut off the last.
func (t *tree) find(want step) (found span, ok bool) {
	for _, s := range t.spans {
		if s.step == want && (!ok || found.failed && !s.failed || found.failed == s.failed && s.start < found.start) {
			found, ok = s, true
		}
	}
	return found, ok
}

// took is the time from the request to the order's end.
func (t *tree) took() time.Duration {
	begin, ok := t.find(entered)
	if !ok {
		return 0
	}
	last := begin.end
	if end, ok := t.find(ended); ok {
		last = end.end
	}
	return time.Duration(max(0, last-begin.start))
}

// hop is one stretch of the way of an order.
type hop struct {
	name string
	took time.Duration
}

// path is the way of an order from the request to its end, in stretches that
// follow each other without a gap: what a step took, and between two steps how
// long the event lay in the outbox, was being published and lay in the topic.
func (t *tree) path(w *words) []hop {
	begin, ok := t.find(entered)
	if !ok {
		return nil
	}
	var way []hop
	now := begin.start
	until := func(at int64, name string) {
		if at > now {
			way = append(way, hop{name, time.Duration(at - now)})
			now = at
		}
	}
	before := begin
	for _, n := range []struct {
		step step
		name string
	}{{placed, "order"}, {reserved, "inventory"}, {charged, "payment"}, {ended, "order end"}} {
		s, ok := t.find(n.step)
		if !ok {
			continue
		}
		if n.step == placed {
			until(s.start, "gateway")
		} else {
			service := w.list[before.service]
			if sent, ok := t.sent(before.id, s.start); ok {
				until(sent.start, service+" outbox")
				until(min(sent.end, s.start), service+" publish")
			}
			until(s.start, n.name+" queue")
		}
		until(s.end, n.name)
		before = s
	}
	return way
}

// sent is the last publish, begun before at, of what a span wrote.
func (t *tree) sent(writer uint64, at int64) (found span, ok bool) {
	for _, s := range t.spans {
		if s.kind == uint8(otlp.Producer) && s.parent == writer && !s.failed && s.start <= at && (!ok || s.start > found.start) {
			found, ok = s, true
		}
	}
	return found, ok
}

// report is the tree with all its spans, in the order of their starts.
func (t *tree) report(id otlp.TraceID, status string, way []hop, w *words) reports.SlowOrder {
	out := reports.SlowOrder{
		OrderID: formatOrderID(t.order), TraceID: hex.EncodeToString(id[:]), Status: status,
		DurationMS: milliseconds(t.took()),
		Hops:       []reports.SlowHop{}, Spans: []reports.TraceSpan{},
	}
	for _, h := range way {
		out.Hops = append(out.Hops, reports.SlowHop{Name: h.name, MS: milliseconds(h.took)})
	}
	spans := slices.Clone(t.spans)
	slices.SortStableFunc(spans, func(a, b span) int { return int(min(1, max(-1, a.start-b.start))) })
	var zero int64
	if begin, ok := t.find(entered); ok {
		zero = begin.start
		out.StartedAt = time.Unix(0, zero).UTC()
	}
	for _, s := range spans {
		span := reports.TraceSpan{
			SpanID: fmt.Sprintf("%016x", s.id), Name: w.list[s.name], Replica: w.list[s.instance],
			Kind:    kindNames[otlp.Kind(s.kind)],
			StartMS: milliseconds(time.Duration(s.start - zero)), DurationMS: milliseconds(time.Duration(s.end - s.start)),
			Failed: s.failed, Interrupted: s.interrupted, Linked: s.linked,
		}
		if s.parent != 0 {
			span.ParentID = fmt.Sprintf("%016x", s.parent)
		}
		out.Spans = append(out.Spans, span)
	}
	return out
}

var kindNames = map[otlp.Kind]string{
	otlp.Internal: "internal", otlp.Server: "server", otlp.Client: "client", otlp.Producer: "producer", otlp.Consumer: "consumer",
}

func formatOrderID(id orderID) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

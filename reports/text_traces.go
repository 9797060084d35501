package reports

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// The text shows the slowest few orders, with the longest few stretches of
// their way; the result has more.
const (
	shownSlowest = 3
	shownHops    = 3
)

func tracesTable(p *page, r *Result) {
	if r.Traces == nil {
		return
	}
	v := r.Traces
	p.title("Traces: %s of %s orders whole, %s spans", number(v.Complete), number(v.Orders), number(v.Spans))
	if v.Complete < v.Orders {
		for _, gap := range v.Incomplete[:min(shownEvidence, len(v.Incomplete))] {
			p.note(indent+"torn  ", gap.OrderID+" lacks "+strings.Join(gap.Missing, ", "), yellow)
		}
	}
	if len(v.Hops) > 0 {
		t := &table{columns: []column{
			{title: "where the time went"}, {title: "share", right: true}, {title: "mean", right: true}, {title: "p50", right: true}, {title: "p99", right: true}, {title: "max", right: true},
		}}
		for _, h := range v.Hops {
			t.add(h.Name, share(h.Share), formatMS(h.MeanMS), formatMS(h.P50MS), formatMS(h.P99MS), formatMS(h.MaxMS))
		}
		t.render(p)
	}
	for _, o := range v.Slowest[:min(shownSlowest, len(v.Slowest))] {
		hops := slices.Clone(o.Hops)
		slices.SortStableFunc(hops, func(a, b SlowHop) int { return cmp.Compare(b.MS, a.MS) })
		var longest []string
		for _, h := range hops[:min(shownHops, len(hops))] {
			longest = append(longest, h.Name+" "+formatMS(h.MS))
		}
		p.note(indent+"slow  ", fmt.Sprintf("%s %s, trace %s: %s", o.OrderID, formatMS(o.DurationMS), o.TraceID, strings.Join(longest, ", ")), "")
	}
}

// share is a part of the whole, as exact as a look at it needs.
func share(part float64) string { return fmt.Sprintf("%.1f%%", 100*part) }

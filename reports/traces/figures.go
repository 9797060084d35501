package traces

import (
	"cmp"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/ordbench/ordbench/reports"
)

// hops is the distribution of each stretch of the way, over all whole trees.
type hops map[string]*hdrhistogram.Histogram

// The range of a hop, and how exactly it is kept.
const (
	leastMicros = 1
	mostMicros  = int64(time.Hour / time.Microsecond)
	digits      = 2
)

func (h hops) add(stretch hop) {
	one := h[stretch.name]
	if one == nil {
		one = hdrhistogram.New(leastMicros, mostMicros, digits)
		h[stretch.name] = one
	}
	_ = one.RecordValue(min(max(stretch.took.Microseconds(), leastMicros), mostMicros)) // in range
}

// report is every hop in the order of the way, with its share of all time.
func (h hops) report() []reports.TraceHop {
	out := []reports.TraceHop{}
	var all float64
	for _, name := range wayNames {
		one := h[name]
		if one == nil {
			continue
		}
		ms := func(micros float64) float64 { return micros / 1000 }
		out = append(out, reports.TraceHop{
			Name: name, Count: uint64(one.TotalCount()), MeanMS: ms(one.Mean()),
			P50MS: ms(float64(one.ValueAtQuantile(50))), P99MS: ms(float64(one.ValueAtQuantile(99))), MaxMS: ms(float64(one.Max())),
		})
		all += one.Mean() * float64(one.TotalCount())
	}
	for i := range out {
		out[i].Share = out[i].MeanMS * 1000 * float64(out[i].Count) / all
	}
	return out
}

// wayNames are the stretches of the way in their order.
var wayNames = []string{
	"gateway", "order",
	"order outbox", "order publish", "inventory queue", "inventory",
	"inventory outbox", "inventory publish", "payment queue", "payment",
	"payment outbox", "payment publish", "order end queue", "order end",
}

// slowest keeps the orders that took the longest, the slowest first.
type slowest struct {
	most int
	list []ranked
}

type ranked struct {
	took  time.Duration
	order reports.SlowOrder
}

// offer keeps an order if it is one of the slowest; only then is it described.
func (s *slowest) offer(took time.Duration, describe func() reports.SlowOrder) {
	if s.most == 0 || len(s.list) == s.most && took <= s.list[len(s.list)-1].took {
		return
	}
	at, _ := slices.BinarySearchFunc(s.list, took, func(r ranked, took time.Duration) int { return cmp.Compare(took, r.took) })
	s.list = slices.Insert(s.list, at, ranked{took, describe()})
	s.list = s.list[:min(len(s.list), s.most)]
}

func (s *slowest) report() []reports.SlowOrder {
	out := []reports.SlowOrder{}
	for _, r := range s.list {
		out = append(out, r.order)
	}
	return out
}

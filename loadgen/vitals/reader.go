package vitals

import (
	"math"
	"runtime/metrics"
	"time"
)

// reader reads the vital signs of this process. What the system does not tell
// reads as well.
type reader struct {
	at      time.Time
	threads threads
	pauses  []metrics.Sample
	before  []uint64 // counts of the pauses
	cpu     time.Duration
}

func newReader() *reader {
	return &reader{threads: newThreads(), pauses: []metrics.Sample{{Name: "/sched/pauses/total/gc:seconds"}, {Name: "/sched/pauses/total/other:seconds"}}}
}

// read gives the signs since the last read.
func (r *reader) read() Signs {
	now := time.Now()
	took := now.Sub(r.at)
	r.at = now
	var s Signs
	delay, busy := r.threads.read()
	cpu := processTime()
	if took > 0 {
		s.Delay = min(1, delay.Seconds()/took.Seconds())
		s.Busy = min(1, busy.Seconds()/took.Seconds())
		s.CPU = (cpu - r.cpu).Seconds() / took.Seconds()
	}
	r.cpu = cpu
	s.Pause = r.paused()
	return s
}

// paused is for how long the world was stopped, to the width of the runtime's
// buckets.
func (r *reader) paused() time.Duration {
	metrics.Read(r.pauses)
	var sum float64
	i := 0
	for _, m := range r.pauses {
		if m.Value.Kind() != metrics.KindFloat64Histogram {
			continue
		}
		h := m.Value.Float64Histogram()
		for b, n := range h.Counts {
			if i == len(r.before) {
				r.before = append(r.before, 0)
			}
			if more := n - r.before[i]; more > 0 {
				edge := h.Buckets[b+1]
				if math.IsInf(edge, 1) {
					edge = h.Buckets[b]
				}
				sum += float64(more) * edge
			}
			r.before[i] = n
			i++
		}
	}
	return time.Duration(sum * 1e9)
}

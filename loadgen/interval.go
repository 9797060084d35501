package loadgen

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// recordInterval keeps one response time for the next Intervals.
func (s *shard) recordInterval(op Op, d time.Duration) {
	if s.interval == nil {
		return
	}
	h := s.interval[op]
	fresh := h == nil
	observe(&h, d)
	if fresh {
		s.interval[op] = h
	}
}

// Intervals hands out the response times of recorded phases that were settled
// since the last call, by operation, and forgets them: together, the intervals
// of a run are its Response to the last count. The histograms are the
// caller's. There are none unless Config.Intervals is set.
func (r *Runner) Intervals() map[Op]*hdrhistogram.Histogram {
	all := map[Op]*hdrhistogram.Histogram{}
	if r.recorder == nil {
		return all
	}
	for i := range r.recorder.shards {
		s := &r.recorder.shards[i]
		s.mu.Lock()
		for op, h := range s.interval {
			if h.TotalCount() == 0 {
				continue
			}
			if all[op] == nil {
				all[op] = newHistogram()
			}
			all[op].Merge(h)
			h.Reset()
		}
		s.mu.Unlock()
	}
	return all
}

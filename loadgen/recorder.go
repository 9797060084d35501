package loadgen

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// shards is how many replies may be recorded at the same time. Each shard
// holds its own histograms of about 170 KB, so there are few.
const shards = 4

// recorder counts and times what is settled.
type recorder struct {
	plan   Plan
	limit  time.Duration // how late is late, in a Pulse
	shards [shards]shard
}

type shard struct {
	mu     sync.Mutex
	phases []map[Op]*OpReport
	end    time.Duration // of the latest reply
	pulse  Pulse

	interval map[Op]*hdrhistogram.Histogram // responses since the last Intervals; nil keeps none
	_        [64]byte                       // shards do not share a cache line
}

func newRecorder(p Plan, limit time.Duration) *recorder {
	r := &recorder{plan: p, limit: limit}
	for i := range r.shards {
		r.shards[i].phases = make([]map[Op]*OpReport, len(p.Phases))
		for j := range r.shards[i].phases {
			r.shards[i].phases[j] = map[Op]*OpReport{}
		}
	}
	return r
}

// op is what is known of the operation of a call.
func (s *shard) op(c *Call) *OpReport {
	op := s.phases[c.Phase][c.Op]
	if op == nil {
		op = &OpReport{Reasons: map[string]uint64{}, Examples: map[string]string{}, Steps: map[string]*StepReport{}}
		s.phases[c.Phase][c.Op] = op
	}
	return op
}

// record settles one call; of a flow, with its last step.
func (r *recorder) record(c *Call, reply *Reply, v Verdict) {
	s := &r.shards[c.Seq%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	op := s.op(c)
	op.Counts.settle(v.Outcome)
	s.end = max(s.end, reply.Done)
	if v.Reason != "" {
		op.Reasons[v.Reason]++
		if reply.Err != nil && op.Examples[v.Reason] == "" {
			op.Examples[v.Reason] = reply.Err.Error()
		}
	}
	sent := reply.Sent >= 0
	s.pulse.settle(c, reply, r.limit)
	if sent && reply.Ready > c.Due {
		op.Queued++
	}
	if !r.plan.Phases[c.Phase].Record {
		return
	}
	timed := v.Outcome != Error && v.Outcome != Rejected
	if timed {
		observe(&op.Response, reply.Done-c.Planned)
		s.recordInterval(c.Op, reply.Done-c.Planned)
	}
	if timed && v.Outcome != OK {
		op.LowerBounds++
	}
	switch {
	case c.Step != "": // the slip was that of its steps
		if timed && c.first >= 0 {
			observe(&op.Service, reply.Done-c.first)
		}
		return
	case timed && sent:
		observe(&op.Service, reply.Done-reply.Sent)
	}
	if sent {
		observe(&op.Slip, reply.Sent-max(c.Due, reply.Ready))
	}
}

// counts adds what is settled to the accounts in all, by op.
func (r *recorder) counts(all map[Op]Counts) {
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		for _, ops := range s.phases {
			for op, o := range ops {
				all[op] = all[op].Plus(o.Counts)
			}
		}
		s.mu.Unlock()
	}
}

// phase merges what all shards hold of phase i.
func (r *recorder) phase(i int) map[Op]*OpReport {
	merged := map[Op]*OpReport{}
	for j := range r.shards {
		s := &r.shards[j]
		s.mu.Lock()
		for name, o := range s.phases[i] {
			m := merged[name]
			if m == nil {
				m = newOpReport()
				merged[name] = m
			}
			m.merge(o)
		}
		s.mu.Unlock()
	}
	return merged
}

// end is when the last call was settled.
func (r *recorder) end() time.Duration {
	var end time.Duration
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		end = max(end, s.end)
		s.mu.Unlock()
	}
	return end
}

func newOpReport() *OpReport {
	return &OpReport{
		Reasons: map[string]uint64{}, Examples: map[string]string{},
		Steps:    map[string]*StepReport{},
		Response: newHistogram(), Service: newHistogram(), Slip: newHistogram(),
	}
}

func (o *OpReport) merge(from *OpReport) {
	o.Counts = o.Counts.Plus(from.Counts)
	o.Queued += from.Queued
	o.Repeats += from.Repeats
	o.LowerBounds += from.LowerBounds
	for name, st := range from.Steps {
		if o.Steps[name] == nil {
			o.Steps[name] = &StepReport{Response: newHistogram(), Service: newHistogram()}
		}
		o.Steps[name].merge(st)
	}
	for reason, n := range from.Reasons {
		o.Reasons[reason] += n
	}
	for reason, text := range from.Examples {
		o.Examples[reason] = text
	}
	for _, pair := range [][2]*hdrhistogram.Histogram{
		{o.Response, from.Response}, {o.Service, from.Service}, {o.Slip, from.Slip},
	} {
		if pair[1] != nil {
			pair[0].Merge(pair[1])
		}
	}
}

// maxMicros is the longest time that histograms hold.
const maxMicros = int64(10 * time.Minute / time.Microsecond)

// newHistogram holds microseconds to three digits.
func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, maxMicros, 3) }

// observe records d, which it makes fit: an attempt that is not in the
// histogram would be a lie in every quantile.
func observe(h **hdrhistogram.Histogram, d time.Duration) {
	if *h == nil {
		*h = newHistogram()
	}
	us := min(max(d.Microseconds(), 0), maxMicros)
	if err := (*h).RecordValue(us); err != nil {
		panic(err) // out of range, which min and max exclude
	}
}

package conductor

import (
	"math"
	"slices"
	"time"

	"github.com/ordbench/ordbench/loadgen"
	"github.com/ordbench/ordbench/reports"
	"github.com/ordbench/ordbench/system"
	"github.com/ordbench/ordbench/system/bus"
	"github.com/ordbench/ordbench/system/events"
)

const (
	inventoryGroup = events.InventoryGroup
	orderBreaker   = "gateway->order"
)

// measure turns what was seen of a run into the parts of its result.
type measure struct{ run *run }

func (m *measure) ms(t time.Time) int64 { return t.Sub(m.run.start).Milliseconds() }

// consumers follows lag and replicas of each group.
func (m *measure) consumers() []reports.Consumer {
	type source struct {
		group     string
		component system.Component
	}
	var consumers []reports.Consumer
	for _, src := range []source{
		{events.InventoryGroup, system.Inventory},
		{events.PaymentGroup, system.Payment},
		{events.OrderGroup, system.Order},
		{events.NotificationGroup, system.Notification},
	} {
		c := reports.Consumer{
			Group: src.group, Component: string(src.component),
			DrainMS: -1, Replicas: []reports.ReplicaPoint{}, Lag: []reports.LagPoint{},
		}
		loadEnd := m.loadEnd()
		for _, l := range m.run.observed.all() {
			if lag, ok := lagOf(l.stack, src.group); ok {
				point := reports.LagPoint{AtMS: m.ms(l.stack.LagAt), Total: lag.Total()}
				for _, p := range lag.Partitions {
					point.Partitions = append(point.Partitions, p.Lag)
				}
				c.Topic, c.Partitions = lag.Topic, len(lag.Partitions)
				c.MaxLag = max(c.MaxLag, point.Total)
				c.Lag = append(c.Lag, point)
				if l.at >= loadEnd && point.Total == 0 && c.DrainMS < 0 {
					c.DrainMS = max(0, point.AtMS-loadEnd.Milliseconds())
				}
			}
			point := reports.ReplicaPoint{AtMS: l.at.Milliseconds(), Desired: l.stack.Desired[src.component], Ready: l.stack.Ready[src.component]}
			c.MaxReplicas = max(c.MaxReplicas, point.Ready)
			if n := len(c.Replicas); n == 0 || c.Replicas[n-1].Desired != point.Desired || c.Replicas[n-1].Ready != point.Ready {
				c.Replicas = append(c.Replicas, point)
			}
		}
		consumers = append(consumers, c)
	}
	return consumers
}

// lagOf returns the lag of a group over all its topics, not ok where the broker
// did not tell.
func lagOf(s system.Sample, group string) (lag bus.Lag, ok bool) {
	if !s.LagKnown {
		return lag, false
	}
	for _, l := range s.Lag {
		switch {
		case l.Group != group:
		case !ok:
			lag, ok = l, true
		default:
			lag.Topic += ", " + l.Topic
			lag.Partitions = slices.Concat(lag.Partitions, l.Partitions)
		}
	}
	return lag, ok
}

// loadEnd is when the last phase ended, on the run's clock.
func (m *measure) loadEnd() time.Duration {
	var end time.Duration
	for _, p := range m.run.report.Phases {
		end = max(end, p.End)
	}
	return end
}

// breakers gathers the transitions of every breaker. A replica that died and
// came back began a new history; what was seen of the old one counts too.
func (m *measure) breakers() []reports.Breaker {
	type seen struct {
		replica string
		at      time.Time
	}
	byName := map[string]*reports.Breaker{}
	known := map[string]map[seen]bool{}
	var names []string
	for _, l := range m.run.observed.all() {
		for _, b := range l.stack.Breakers {
			out := byName[b.Name]
			if out == nil {
				out = &reports.Breaker{Name: b.Name, Transitions: []reports.Transition{}}
				byName[b.Name], known[b.Name] = out, map[seen]bool{}
				names = append(names, b.Name)
			}
			for _, t := range b.Transitions {
				if k := (seen{b.Replica, t.At}); !known[b.Name][k] {
					known[b.Name][k] = true
					out.Transitions = append(out.Transitions, reports.Transition{AtMS: m.ms(t.At), Replica: b.Replica, From: t.From, To: t.To})
					if t.To == "open" {
						out.Trips++
					}
				}
			}
		}
	}
	slices.Sort(names)
	breakers := make([]reports.Breaker, len(names))
	for i, name := range names {
		slices.SortStableFunc(byName[name].Transitions, func(a, b reports.Transition) int { return int(a.AtMS - b.AtMS) })
		breakers[i] = *byName[name]
	}
	return breakers
}

// series gives one column per thing that was watched.
func (m *measure) series() reports.Series {
	looks := m.run.observed.all()
	s := reports.Series{
		IntervalMS: observeEvery.Milliseconds(),
		TMS:        make([]int64, len(looks)),
		Columns:    map[string][]float64{},
		Replicas:   map[string]reports.Resources{},
	}
	column := func(name string) []float64 {
		if s.Columns[name] == nil {
			s.Columns[name] = make([]float64, len(looks))
		}
		return s.Columns[name]
	}
	for i, l := range looks {
		s.TMS[i] = l.at.Milliseconds()
		for c, n := range l.stack.Ready {
			column("ready." + string(c))[i] = float64(n)
		}
		column("desired." + string(system.Inventory))[i] = float64(l.stack.Desired[system.Inventory])
		for _, group := range []string{events.InventoryGroup, events.PaymentGroup, events.OrderGroup, events.NotificationGroup} {
			value := -1.0 // the broker did not tell
			if lag, ok := lagOf(l.stack, group); ok {
				value = float64(lag.Total())
			}
			column("lag." + group)[i] = value
		}
		column("in_flight")[i] = float64(l.load.InFlight)
		var now, then loadgen.Counts
		dt := 0.0
		if i > 0 {
			now, then = l.load.Total(), looks[i-1].load.Total()
			dt = (l.at - looks[i-1].at).Seconds()
		}
		for name, pair := range map[string][2]uint64{
			"scheduled_per_s": {now.Scheduled, then.Scheduled},
			"ok_per_s":        {now.OK, then.OK},
			"rejected_per_s":  {now.Rejected, then.Rejected},
			"error_per_s":     {now.Error + now.Timeout + now.Dropped, then.Error + then.Timeout + then.Dropped},
		} {
			if c := column(name); dt > 0 {
				c[i] = round(float64(pair[0]-pair[1]) / dt)
			}
		}
		for replica, p := range l.stack.Processes {
			res, ok := s.Replicas[replica]
			if !ok {
				res = reports.Resources{CPUCores: absent[float64](len(looks)), RSSBytes: absent[int64](len(looks))}
				s.Replicas[replica] = res
			}
			res.CPUCores[i], res.RSSBytes[i] = round(p.CPUCores), p.RSSBytes
		}
	}
	return s
}

// absent is a column of a replica that does not run.
func absent[T int64 | float64](n int) []T {
	values := make([]T, n)
	for i := range values {
		values[i] = -1
	}
	return values
}

// round keeps three decimals: more would be noise in a file.
func round(v float64) float64 { return math.Round(v*1000) / 1000 }

package conductor

import (
	"context"
	"time"

	"github.com/ordbench/ordbench/scenarios"
)

// guard ends the chaos when one of the scenario's conditions has held for its
// time, and undoes what stands.
func (r *run) guard(ctx context.Context) {
	if len(r.Scenario.HaltWhen) == 0 {
		return
	}
	since := make([]time.Duration, len(r.Scenario.HaltWhen)) // on the run's clock, +1; 0: it does not hold
	for ctx.Err() == nil {
		r.observed.next(ctx)
		looks := r.observed.all()
		if len(looks) == 0 {
			continue
		}
		now := looks[len(looks)-1]
		if now.load.Phase < 0 || now.at < 0 {
			continue // there is no load yet, or no more
		}
		for i, g := range r.Scenario.HaltWhen {
			if !beyond(g, looks) {
				since[i] = 0
				continue
			}
			if since[i] == 0 {
				since[i] = now.at + 1
			}
			if now.at+1-since[i] >= g.For {
				r.event("halt: %s: the chaos ends here", g)
				if _, err := r.session.Faults.Halt(ctx, g.String()); err != nil {
					r.event("halt: %v", err)
				}
				return
			}
		}
	}
}

// beyond says whether a condition holds at the last look.
func beyond(g scenarios.Guard, looks []look) bool {
	v, known := guarded(g.Metric, looks)
	return known && (g.Above != nil && v > *g.Above || g.Below != nil && v < *g.Below)
}

// guarded is what a condition watches, over the last second.
func guarded(metric string, looks []look) (float64, bool) {
	now := looks[len(looks)-1]
	if metric == scenarios.GuardLag {
		var most int64
		for _, l := range now.stack.Lag {
			most = max(most, l.Total())
		}
		return float64(most), now.stack.LagKnown
	}
	const window = int(time.Second / observeEvery)
	if len(looks) <= window {
		return 0, false
	}
	then := looks[len(looks)-1-window]
	if then.at < 0 {
		return 0, false
	}
	a, b := now.load.Total(), then.load.Total()
	ok, all := float64(a.OK-b.OK), float64(a.Settled()-b.Settled())
	if metric == scenarios.GuardGoodput {
		return ok / (now.at - then.at).Seconds(), true
	}
	return 1 - ok/all, all > 0
}

package conductor

import (
	"time"

	"github.com/ordbench/ordbench/reports"
	"github.com/ordbench/ordbench/system"
)

// errorBudget is the share of a run's attempts that may fail where the
// scenario has no gate on it.
const errorBudget = 0.01

// damage says what a fault did to the system from its beginning to its
// recovery, beside as long a time before it.
func (m *measure) damage(f *reports.Fault) {
	looks := m.run.observed.all()
	if len(looks) == 0 {
		return
	}
	start, end := f.Observed.StartMS, f.Observed.EndMS
	if end < 0 {
		end = looks[len(looks)-1].at.Milliseconds()
	}
	over := end
	if f.RecoverMS > 0 {
		over += f.RecoverMS
	}
	over = max(over, start+observeEvery.Milliseconds())
	over = min(over, max(start, m.loadEnd().Milliseconds()))
	group := groupHit(f.Target)
	f.During = m.window(looks, start, over, group)
	f.Before = m.window(looks, max(0, start-max(over-start, baselineWindow.Milliseconds())), start, group)
	f.Failed = failedBetween(looks, start, over)
	f.UnavailableMS = longestWithoutSuccess(looks, start, over)
	f.Budget = errorBudget
	for _, g := range m.run.Scenario.Gates {
		if g.Metric == "errors.rate" && g.Max != nil && *g.Max > 0 {
			f.Budget = *g.Max
		}
	}
	if all := looks[len(looks)-1].load.Total().Settled(); all > 0 {
		f.BudgetBurnt = round(float64(f.Failed) / (f.Budget * float64(all)))
	}
	f.ScaleOutMS = scaleOut(looks, start, over)
	for _, b := range m.breakers() {
		for _, t := range b.Transitions {
			after := t.AtMS - start
			if after < 0 || t.AtMS > over+closeLimit.Milliseconds() {
				continue
			}
			switch {
			case t.To == "open" && f.BreakerOpenMS < 0 && t.AtMS <= over:
				f.BreakerOpenMS = after
			case t.To == "half-open" && f.BreakerOpenMS >= 0 && f.BreakerHalfOpenMS < 0:
				f.BreakerHalfOpenMS = after
			case t.To == "closed" && f.BreakerOpenMS >= 0 && f.BreakerCloseMS < 0:
				f.BreakerCloseMS = after
			}
		}
	}
}

// window is how load and lag were from one moment to another.
func (m *measure) window(looks []look, from, to int64, group string) reports.FaultWindow {
	w := reports.FaultWindow{FromMS: from, ToMS: to}
	first, last := -1, -1
	for i, l := range looks {
		at := l.at.Milliseconds()
		if at < from || at > to {
			continue
		}
		if first < 0 {
			first = i
		}
		last = i
		if lag, known := lagOf(l.stack, group); known {
			w.MaxLag = max(w.MaxLag, lag.Total())
		}
	}
	if last <= first || first < 0 {
		return w
	}
	w.Recorded = true
	a, b := looks[first].load.Total(), looks[last].load.Total()
	w.OKPerS = round(float64(b.OK-a.OK) / (looks[last].at - looks[first].at).Seconds())
	if ended := b.Settled() - a.Settled(); ended > 0 {
		w.NotOK = round(1 - float64(b.OK-a.OK)/float64(ended))
	}
	return w
}

// failedBetween counts the attempts that ended badly.
func failedBetween(looks []look, from, to int64) uint64 {
	var n uint64
	for i, l := range looks {
		if at := l.at.Milliseconds(); at > from && at <= to {
			n += badSince(looks, i)
		}
	}
	return n
}

// longestWithoutSuccess is the longest stretch in which attempts ended and
// none of them well, to the precision of a look.
func longestWithoutSuccess(looks []look, from, to int64) int64 {
	var longest, since time.Duration
	down := false
	for i := 1; i < len(looks); i++ {
		at := looks[i].at.Milliseconds()
		if at <= from || at > to+observeEvery.Milliseconds() {
			continue
		}
		now, then := looks[i].load.Total(), looks[i-1].load.Total()
		switch {
		case now.OK > then.OK, now.Scheduled == then.Scheduled:
			down = false
		case !down:
			down, since = true, looks[i-1].at
		}
		if down {
			longest = max(longest, looks[i].at-since)
		}
	}
	return longest.Milliseconds()
}

// scaleOut is how long it took until more inventory replicas were ready than
// when the fault began; -1 if there never were.
func scaleOut(looks []look, from, to int64) int64 {
	before := -1
	for _, l := range looks {
		at, ready := l.at.Milliseconds(), l.stack.Ready[system.Inventory]
		switch {
		case at <= from:
			before = ready
		case at <= to && before >= 0 && ready > before:
			return at - from
		}
	}
	return -1
}

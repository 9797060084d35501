package wire

import (
	"context"
	"sync"

	"github.com/ordbench/ordbench/loadgen"
)

// lead is what the leader of the workers needs: the calls that are not due
// yet. Workers pass it on, and put the next steps of flows where it looks.
type lead struct {
	held loadgen.Call // from the schedule
	has  bool         // held holds a call

	mu     sync.Mutex
	later  later
	over   bool          // the schedule has said that there are no more
	sooner chan struct{} // what was put is due before all others
}

// put leaves the next step of a flow to whoever leads.
func (l *lead) put(c *loadgen.Call) {
	l.mu.Lock()
	defer l.mu.Unlock()
	due := c.Due
	l.later.put(c)
	if l.later.calls[0].Due == due {
		select {
		case l.sooner <- struct{}{}:
		default: // the leader has not seen the last one yet
		}
	}
}

// answered has the schedule asked again: in a closed loop whoever was answered
// has another call.
func (l *lead) answered() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = false
}

// await waits for the call that is due first, and moves it into c. It returns
// false if there is none. When ctx ends it does not wait.
func (r *netRun) await(ctx context.Context, c *loadgen.Call) bool {
	l := &r.lead
	for {
		l.mu.Lock()
		if !l.has && !l.over {
			l.has = r.job.Calls.Next(&l.held)
			l.over = !l.has
		}
		due, step := l.held.Due, false
		if len(l.later.calls) > 0 && (!l.has || l.later.calls[0].Due < due) {
			due, step = l.later.calls[0].Due, true
		}
		l.mu.Unlock()
		if !l.has && !step {
			return false
		}
		if !r.pacer.wait(ctx, due, l.sooner) {
			continue
		}
		if step {
			l.mu.Lock()
			l.later.get(c)
			l.mu.Unlock()
			return true
		}
		l.held, *c = *c, l.held
		l.has = false
		return true
	}
}

// left moves a call that nobody has sent into c, when the load was stopped.
func (l *lead) left(c *loadgen.Call) bool {
	switch {
	case l.has:
		l.has = false
		l.held, *c = *c, l.held
	case len(l.later.calls) > 0:
		l.later.get(c)
	default:
		return false
	}
	return true
}

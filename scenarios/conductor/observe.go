package conductor

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/ordbench/ordbench/loadgen"
	"github.com/ordbench/ordbench/system"
)

// observation is what was seen of a run, a row per look.
type observation struct {
	mu    sync.Mutex
	looks []look
	added chan struct{} // closed at the next look
}

func newObservation() *observation { return &observation{added: make(chan struct{})} }

// look is the stack and the load at one moment.
type look struct {
	at    time.Duration // on the run's clock
	stack system.Sample
	load  loadgen.Snapshot
}

func (o *observation) add(l look) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.looks = append(o.looks, l)
	close(o.added)
	o.added = make(chan struct{})
}

// next returns after the next look, or when ctx ends.
func (o *observation) next(ctx context.Context) {
	o.mu.Lock()
	added := o.added
	o.mu.Unlock()
	select {
	case <-added:
	case <-ctx.Done():
	}
}

func (o *observation) all() []look {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.looks[:len(o.looks):len(o.looks)]
}

// observe looks at stack and load until ctx ends, and tells the reporter.
func (r *run) observe(ctx context.Context) {
	told := 0
	r.session.Stack.Observe(ctx, observeEvery, func(s system.Sample) {
		l := look{at: s.At.Sub(r.start), stack: s, load: r.load.Snapshot()}
		r.observed.add(l)
		told = r.tellFaults(told)
		if i := l.load.Phase; i >= 0 && i < len(r.Scenario.Traffic.Phases) {
			r.progress(l)
		}
	})
	r.tellFaults(told)
}

// tellFaults tells the reporter of each fault when its effect is proven, when
// it is over, and of what went wrong with it. told is how many lines it has
// told by now; it returns that of the next call.
func (r *run) tellFaults(told int) int {
	lines := 0
	say := func(format string, args ...any) {
		if lines++; lines > told {
			r.event(format, args...)
		}
	}
	for _, rec := range r.session.Faults.Records() {
		many := ""
		if n := len(rec.Replicas); n > 1 {
			many = fmt.Sprintf("%d replicas, first ", n)
		}
		if !rec.Started.IsZero() && len(rec.Proof) > 0 {
			say("%s: %s%s", rec.Spec.Name, many, withoutTime(rec.Proof[0]))
		}
		if !rec.Ended.IsZero() && len(rec.Proof) > 1 {
			say("%s: over after %s; %s", rec.Spec.Name, rec.Ended.Sub(rec.Started).Round(10*time.Millisecond), withoutTime(rec.Proof[len(rec.Proof)-1]))
		}
		if rec.Error != "" {
			say("%s: %s", rec.Spec.Name, rec.Error)
		}
		if rec.Skipped != "" {
			say("%s: left out: %s", rec.Spec.Name, rec.Skipped)
		}
	}
	return max(told, lines)
}

// withoutTime drops the time of day from a proof: the line has one already.
func withoutTime(proof string) string {
	_, detail, _ := strings.Cut(proof, " ")
	return detail
}

// progress tells the reporter what a look shows.
func (r *run) progress(l look) {
	if r.Reporter == nil {
		return
	}
	p := Progress{
		Stage:    Loading,
		Phase:    r.Scenario.Traffic.Phases[l.load.Phase].Name,
		Elapsed:  max(l.at, 0),
		Total:    r.Scenario.Length(),
		Replicas: l.stack.Ready[system.Inventory],
	}
	if lag, ok := lagOf(l.stack, inventoryGroup); ok {
		p.Lag = lag.Total()
	}
	for _, b := range l.stack.Breakers {
		if b.Name == orderBreaker {
			p.Breaker = b.State
		}
	}
	looks := r.observed.all()
	before := looks[max(0, len(looks)-1-int(time.Second/observeEvery))]
	now, then := l.load.Total(), before.load.Total()
	p.rates(now, then, l.at-before.at)
	p.Scheduled = now.Scheduled
	r.Reporter.Progress(p)
}

func (r *run) tell(stage Stage) {
	if r.Reporter != nil {
		r.Reporter.Progress(Progress{Stage: stage})
	}
}

func (r *run) draining(d system.Drain) {
	if r.Reporter != nil {
		r.Reporter.Progress(Progress{Stage: Draining, InFlight: d.String()})
	}
}

func (r *run) event(format string, args ...any) {
	if r.Reporter == nil {
		return
	}
	at := time.Duration(0)
	if !r.start.IsZero() {
		at = max(time.Since(r.start), 0)
	}
	r.Reporter.Event(at, fmt.Sprintf(format, args...))
}

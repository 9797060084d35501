package chaos

import (
	"context"
	"time"
)

// pause stops the replicas and lets them run again when its time is over,
// or at resume or Heal.
func (e *Engine) pause(ctx context.Context, f *fault) error {
	e.mark(f)
	err := e.each(ctx, f, f.record.Replicas, e.processes.Pause, func(_ string, at time.Time) { f.started(at) })
	undo := context.WithoutCancel(ctx)
	go func() {
		defer close(f.done)
		if f.endless {
			<-f.lift
		} else {
			f.await(f.record.Spec.For)
		}
		e.revert(undo, f, e.processes.Resume)
	}()
	return err
}

// resume ends the pauses that stand on the replicas.
func (e *Engine) resume(ctx context.Context, f *fault) error {
	defer close(f.done)
	return e.each(ctx, f, f.record.Replicas, e.processes.Resume, func(replica string, at time.Time) {
		f.started(at)
		f.record.Ended, f.record.Reverted = at, true
		e.unpause(replica, at, "resumed")
	})
}

// unpause takes a replica off every pause. The caller holds the lock.
func (e *Engine) unpause(replica string, at time.Time, how string) {
	for _, p := range e.faults {
		if p.record.Spec.Fault != "pause" || !p.stands[replica] {
			continue
		}
		p.prove(replica, at, how)
		p.over(replica, at)
		if len(p.stands) == 0 {
			p.settle()
			p.end()
		}
	}
}

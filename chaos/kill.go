package chaos

import (
	"context"
	"time"
)

// kill ends the replicas and watches them come back: the fault is over when
// the last of them is ready again.
func (e *Engine) kill(ctx context.Context, f *fault) error {
	hold := f.record.Spec.RestartAfter
	die := func(ctx context.Context, replica string) (time.Time, string, error) {
		return e.processes.Kill(ctx, replica, hold)
	}
	e.mark(f)
	err := e.each(ctx, f, f.record.Replicas, die, func(replica string, at time.Time) {
		f.started(at)
		e.unpause(replica, at, "killed while paused")
	})
	undo := context.WithoutCancel(ctx)
	go func() {
		defer close(f.done)
		if f.await(hold) {
			e.revert(undo, f, e.processes.Restart)
			return
		}
		e.revert(undo, f, e.processes.AwaitReady)
	}()
	return err
}

// mark lets a fault stand on its replicas. That comes before the effect, so
// that what was hit without a witness is healed too.
func (e *Engine) mark(f *fault) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, replica := range f.record.Replicas {
		f.stands[replica] = true
	}
}

// await waits for the end of a fault. It tells whether it was lifted before
// its time.
func (f *fault) await(length time.Duration) (lifted bool) {
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-timer.C:
		return false
	case <-f.lift:
		return true
	}
}

// revert undoes a fault wherever it stands and closes its record.
func (e *Engine) revert(ctx context.Context, f *fault, undo effect) {
	ctx, cancel := context.WithTimeout(ctx, backLimit)
	defer cancel()
	e.mu.Lock()
	standing := f.standing()
	e.mu.Unlock()
	err := e.each(ctx, f, standing, undo, f.over)
	e.mu.Lock()
	defer e.mu.Unlock()
	if err != nil {
		f.fail(err)
	}
	f.settle()
}

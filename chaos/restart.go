package chaos

import (
	"context"
	"time"
)

// restart ends the replicas in an orderly way and returns when they are
// ready again: it reverts itself.
func (e *Engine) restart(ctx context.Context, f *fault) error {
	defer close(f.done)
	e.mark(f)
	asked := time.Now()
	err := e.each(ctx, f, f.record.Replicas, e.processes.Restart, func(replica string, at time.Time) {
		f.started(asked)
		f.over(replica, at)
	})
	e.mu.Lock()
	defer e.mu.Unlock()
	f.settle()
	return err
}

package chaos

import (
	"context"
	"fmt"
	"sync"
	"time"
)

var crashLoop = Definition{
	Name:    "crash-loop",
	Family:  ProcessFamily,
	Summary: "SIGKILL again and again, a moment after each start",
	Targets: processes,
	Options: []Option{
		forOption,
		{Name: "alive", Kind: Duration, Default: "500ms", Summary: "how long it may live each time, once it is ready"},
		replicasOption,
	},
	Example: "ordbench chaos crash-loop payment --for 10s",
	bind: func(e *Engine, s Spec) (act, error) {
		stack, err := means[Killer](e, "processes to kill")
		loops := &looping{stops: map[string]context.CancelFunc{}, killed: map[string]int{}}
		return act{
			apply: func(ctx context.Context, replica string) (Sight, error) {
				first, err := witnessed(stack.Kill(ctx, replica, 0))
				if err == nil {
					loops.begin(ctx, stack, replica, s.duration("alive"))
				}
				return first, err
			},
			look: func(_ context.Context, replica string) (Sight, error) {
				return saw("killed %d times", loops.count(replica)), nil
			},
			undo: func(ctx context.Context, replica string) (Sight, error) {
				loops.end(replica)
				s, err := witnessed(stack.AwaitReady(ctx, replica))
				s.Came = fmt.Sprintf("killed %d times", loops.count(replica))
				return s, err
			},
		}, err
	},
}

// looping kills replicas whenever they have lived for long enough.
type looping struct {
	mu     sync.Mutex
	wait   sync.WaitGroup
	stops  map[string]context.CancelFunc
	killed map[string]int
}

func (l *looping) begin(ctx context.Context, stack Killer, replica string, alive time.Duration) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	l.mu.Lock()
	l.stops[replica], l.killed[replica] = cancel, 1
	l.mu.Unlock()
	l.wait.Go(func() {
		for ctx.Err() == nil {
			if _, _, err := stack.AwaitReady(ctx, replica); err != nil || !sleep(ctx, alive) {
				return
			}
			if _, _, err := stack.Kill(ctx, replica, 0); err == nil {
				l.mu.Lock()
				l.killed[replica]++
				l.mu.Unlock()
			}
		}
	})
}

func (l *looping) count(replica string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.killed[replica]
}

func (l *looping) end(replica string) {
	l.mu.Lock()
	if stop := l.stops[replica]; stop != nil { // it may never have been there
		stop()
	}
	l.mu.Unlock()
	l.wait.Wait()
}

// sleep waits for d; false means that ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	return sleepUntil(ctx, time.Now().Add(d)) == nil
}

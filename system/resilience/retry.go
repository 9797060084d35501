package resilience

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// RetryConfig says how often a call that failed is made again.
type RetryConfig struct {
	Tries   int  `json:"tries"`   // in all; 0 and 1: never again
	Backoff bool `json:"backoff"` // off: again at once
	Budget  bool `json:"budget"`  // off: as often as Tries says, whatever that adds up to
}

// Validate names every impossible value.
func (c RetryConfig) Validate() error {
	if c.Tries < 0 {
		return fmt.Errorf("retry tries %d: must not be negative", c.Tries)
	}
	return nil
}

// The pauses between tries are drawn from 0 to a limit that doubles: full
// jitter, so that what failed together does not come back together.
const (
	firstPause = 10 * time.Millisecond
	lastPause  = 250 * time.Millisecond
)

// The budget, in thousandths of a retry. Each call earns a tenth of one, and
// a few may be saved up: a dependency that fails for all is asked a tenth
// more often than there are requests, and not Tries times as often.
const (
	earned  = 100
	cost    = 1000
	savings = 10 * cost
)

// ErrBudget says that the call failed and that there is no retry left to
// spend on it.
var ErrBudget = errors.New("retry budget is used up")

// Retry makes calls again. It is of one dependency: its budget is shared by
// all calls to that. failsafe-go's budget counts what passes through its
// executor, at a cost to each request, also those that need no retry.
type Retry struct {
	cfg   RetryConfig
	saved atomic.Int64
	spent atomic.Uint64
}

// NewRetry makes a Retry with its savings full.
func NewRetry(cfg RetryConfig) *Retry {
	r := &Retry{cfg: cfg}
	r.saved.Store(savings)
	return r
}

// Do calls fn, and again while it returns an error that again says is worth
// it. It returns the last error of fn, with ErrBudget if it was the budget
// that ended it.
func (r *Retry) Do(ctx context.Context, again func(error) bool, fn func(context.Context) error) error {
	r.earn()
	err := fn(ctx)
	for try := 1; err != nil && try < r.cfg.Tries && again(err); try++ {
		if !r.spend() {
			return errors.Join(err, ErrBudget)
		}
		if r.cfg.Backoff && !sleep(ctx, pause(try)) {
			return err
		}
		err = fn(ctx)
	}
	return err
}

// Spent is how many calls were made again.
func (r *Retry) Spent() uint64 { return r.spent.Load() }

func (r *Retry) earn() {
	if r.cfg.Budget && r.saved.Load() < savings {
		r.saved.Add(earned)
	}
}

// spend takes a retry from the budget, if there is one.
func (r *Retry) spend() bool {
	if r.cfg.Budget && r.saved.Add(-cost) < 0 {
		r.saved.Add(cost)
		return false
	}
	r.spent.Add(1)
	return true
}

// pause is drawn for the time before the next try.
func pause(try int) time.Duration {
	limit := min(firstPause<<(try-1), lastPause)
	return rand.N(limit) //nolint:gosec // jitter is no secret
}

// sleep is true unless ctx ends first, or has too little time left.
func sleep(ctx context.Context, d time.Duration) bool {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= d {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

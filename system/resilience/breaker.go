// Package resilience keeps one part's illness from becoming another's: a
// Breaker stops calls to a dependency that fails, a Limiter holds each client
// to its share.
//
// The invariant is that protection never makes the thing it protects worse:
// what a breaker refuses has certainly not been tried, and a limiter whose
// cache is away lets requests through within a local bound rather than
// turning everybody away.
package resilience

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
)

// ErrOpen says that a breaker refused a call: it was certainly not made.
var ErrOpen = errors.New("circuit breaker open")

// The defaults of a BreakerConfig.
const (
	DefaultFailures = 5
	DefaultOpenFor  = 30 * time.Second
)

// transitionsKept bounds the history of one breaker; Trips counts on.
const transitionsKept = 1024

// BreakerConfig says when a breaker opens and for how long.
type BreakerConfig struct {
	Enabled  bool          `json:"enabled"`  // off: every call is made
	Failures int           `json:"failures"` // in a row that open it; 0: DefaultFailures
	OpenFor  time.Duration `json:"open_for"` // until a probe may pass, nanoseconds in JSON; 0: DefaultOpenFor
}

// Validate names every impossible value.
func (c BreakerConfig) Validate() error {
	var problems []error
	if c.Failures < 0 {
		problems = append(problems, fmt.Errorf("breaker failures %d: must not be negative", c.Failures))
	}
	if c.OpenFor < 0 {
		problems = append(problems, fmt.Errorf("breaker open_for %s: must not be negative", c.OpenFor))
	}
	return errors.Join(problems...)
}

// BreakerState is what a breaker did so far.
type BreakerState struct {
	Name        string       `json:"name"`        // "gateway->order"
	State       string       `json:"state"`       // closed, open, half-open, disabled
	Trips       int          `json:"trips"`       // times it opened
	Transitions []Transition `json:"transitions"` // oldest first, the newest 1024
}

// Transition is one change of state.
type Transition struct {
	At   time.Time `json:"at"`
	From string    `json:"from"`
	To   string    `json:"to"`
}

// Breaker guards one dependency. Failures in a row open it; after OpenFor a
// single probe is let through, whose success closes it and whose failure
// opens it again. There is one breaker per dependency, so that the illness of
// one never refuses calls to another.
type Breaker struct {
	name    string
	enabled bool
	refused error

	mu      sync.Mutex // also orders the transitions
	circuit circuitbreaker.CircuitBreaker[any]
	epoch   uint64 // transitions so far
	trips   int
	history []Transition
	notify  func(Transition)
}

// NewBreaker makes a closed breaker; name says who depends on whom,
// "gateway->order".
func NewBreaker(name string, cfg BreakerConfig) *Breaker {
	failures, openFor := cfg.Failures, cfg.OpenFor
	if failures <= 0 {
		failures = DefaultFailures
	}
	if openFor <= 0 {
		openFor = DefaultOpenFor
	}
	b := &Breaker{name: name, enabled: cfg.Enabled, refused: fmt.Errorf("%s: %w", name, ErrOpen)}
	b.circuit = circuitbreaker.NewBuilder[any]().
		WithFailureThreshold(uint(failures)).
		WithSuccessThreshold(1). // one probe at a time, and one is enough
		WithDelay(openFor).
		OnStateChanged(b.changed).
		Build()
	return b
}

// Notify has fn called at each transition, in their order. It is to be set
// before the first call of Do; fn must not use the breaker.
func (b *Breaker) Notify(fn func(Transition)) { b.notify = fn }

// Name is the name given to NewBreaker.
func (b *Breaker) Name() string { return b.name }

// Do calls fn unless the breaker is open, and then returns an error that is
// ErrOpen without calling it. An error of fn counts as a failure of the
// dependency, so fn returns nil for answers that only the caller is to blame
// for, such as a 4xx. A call whose ctx was cancelled says nothing about the
// dependency and does not count.
//
// The probe of a half-open breaker outlives its caller: its context keeps
// ctx's deadline but not its cancellation, so that a client that hangs up
// does not decide for all others. fn must therefore bound its own time.
func (b *Breaker) Do(ctx context.Context, fn func(context.Context) error) error {
	if !b.enabled {
		return fn(ctx)
	}
	probe, epoch, ok := b.acquire()
	if !ok {
		return b.refused
	}
	if !probe {
		finished := false
		defer func() {
			if !finished { // fn panicked
				b.record(epoch, false)
			}
		}()
		err := fn(ctx)
		finished = true
		if err == nil || !errors.Is(ctx.Err(), context.Canceled) {
			b.record(epoch, err == nil)
		}
		return err
	}
	well := false
	defer func() { b.record(epoch, well) }()
	detached := context.WithoutCancel(ctx)
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		detached, cancel = context.WithDeadline(detached, deadline)
		defer cancel()
	}
	err := fn(detached)
	well = err == nil
	return err
}

// RetryAfter is the time until a probe may pass; 0 unless the breaker is open.
func (b *Breaker) RetryAfter() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.circuit.RemainingDelay()
}

// Snapshot tells what the breaker did so far. An open breaker whose time is
// over is still open: it half-opens with the next call.
func (b *Breaker) Snapshot() BreakerState {
	b.mu.Lock()
	defer b.mu.Unlock()
	state := "disabled"
	if b.enabled {
		state = b.circuit.State().String()
	}
	return BreakerState{
		Name:        b.name,
		State:       state,
		Trips:       b.trips,
		Transitions: append([]Transition{}, b.history...),
	}
}

// passes says whether a call made now would be let through.
func (b *Breaker) passes() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch b.circuit.State() {
	case circuitbreaker.OpenState:
		return b.circuit.RemainingDelay() == 0 // it would be the probe
	case circuitbreaker.HalfOpenState:
		return false // the probe is under way
	default:
		return true
	}
}

// acquire asks for a call, and says whether it is a probe and in which epoch
// it was let through.
func (b *Breaker) acquire() (probe bool, epoch uint64, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	ok = b.circuit.TryAcquirePermit()
	return b.circuit.State() == circuitbreaker.HalfOpenState, b.epoch, ok
}

// record counts the result of a call. A result from an earlier epoch says how
// the dependency was, not how it is: it must neither close a breaker that
// waits for its probe nor open one that has just closed.
func (b *Breaker) record(epoch uint64, well bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if epoch != b.epoch {
		return
	}
	if well {
		b.circuit.RecordSuccess()
	} else {
		b.circuit.RecordFailure()
	}
}

// changed notes a transition. The circuit calls it from within its own
// methods, so mu is held.
func (b *Breaker) changed(e circuitbreaker.StateChangedEvent) {
	b.epoch++
	if e.NewState == circuitbreaker.OpenState {
		b.trips++
	}
	if len(b.history) == transitionsKept {
		b.history = append(b.history[:0], b.history[1:]...)
	}
	t := Transition{At: time.Now(), From: e.OldState.String(), To: e.NewState.String()}
	b.history = append(b.history, t)
	if b.notify != nil {
		b.notify(t)
	}
}

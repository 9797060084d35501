package chaos

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"time"
)

// Processes is what can be broken; a Stack satisfies it. The effects return
// when they were seen and how. Errors name the replica; one that is
// os.ErrProcessDone says that it is not wanted any more: it was scaled away.
type Processes interface {
	// Running names the replicas of a component that have a process, paused
	// or not.
	Running(component string) []string
	// Known tells whether there is such a component or replica.
	Known(target string) bool
	// Kill ends the process at once, sees it dead, and holds it down: 0
	// leaves the restart to the supervisor.
	Kill(ctx context.Context, replica string, hold time.Duration) (at time.Time, detail string, err error)
	// Pause stops the process where it stands.
	Pause(ctx context.Context, replica string) (at time.Time, detail string, err error)
	// Resume lets a paused process run. Of one that runs it says so.
	Resume(ctx context.Context, replica string) (at time.Time, detail string, err error)
	// Restart ends the process gracefully and starts it again, returning
	// when it is ready. One that is held down is only started.
	Restart(ctx context.Context, replica string) (at time.Time, detail string, err error)
	// AwaitReady returns when the replica is ready.
	AwaitReady(ctx context.Context, replica string) (at time.Time, detail string, err error)
}

// How long an effect, and what undoes it, may take to be seen.
const (
	proofLimit = 60 * time.Second
	backLimit  = 60 * time.Second
)

// Engine injects faults and remembers them. Its owner calls Heal before
// letting go of it.
type Engine struct {
	processes Processes
	log       *slog.Logger

	mu     sync.Mutex
	faults []*fault
}

// fault is a record in the making.
type fault struct {
	record  Record
	stands  map[string]bool // replicas on which it stands; guarded by Engine.mu
	last    time.Time       // when the last replica came back; guarded too
	endless bool            // it ends only by resume or Heal
	lift    chan struct{}   // closed: end it now
	lifted  sync.Once
	done    chan struct{} // closed: nothing runs in its name any more
}

// New returns an engine over the processes. A nil log is silent.
func New(p Processes, log *slog.Logger) *Engine {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Engine{processes: p, log: log}
}

// Inject makes one fault and blocks until its effect is proven. What follows
// (a restart, the end of a pause) happens behind it and completes the record
// in Records. A *UsageError means that nothing was done; with any other
// error the record is there and is not effective.
func (e *Engine) Inject(ctx context.Context, spec Spec) (Record, error) {
	f, err := e.begin(spec, time.Now())
	if err != nil {
		return Record{}, err
	}
	return e.strike(ctx, f)
}

// Records returns the faults so far, in the order of their injection.
func (e *Engine) Records() []Record {
	e.mu.Lock()
	defer e.mu.Unlock()
	records := make([]Record, len(e.faults))
	for i, f := range e.faults {
		records[i] = f.copy()
	}
	return records
}

// Wait returns when every fault that ends by itself has ended. A pause
// without an end is not waited for.
func (e *Engine) Wait() {
	for _, f := range e.all() {
		if !f.endless {
			<-f.done
		}
	}
}

// begin validates a spec, chooses its replicas and opens its record.
func (e *Engine) begin(spec Spec, planned time.Time) (*fault, error) {
	if problems := spec.Validate(); len(problems) > 0 {
		return nil, problems[0]
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	replicas, err := e.choose(spec)
	if err != nil {
		return nil, err
	}
	return e.open(spec, planned, replicas), nil
}

// open adds a record. The caller holds the lock.
func (e *Engine) open(spec Spec, planned time.Time, replicas []string) *fault {
	spec.Name = e.name(spec)
	f := &fault{
		record: Record{Spec: spec, Planned: planned, Replicas: replicas, Proof: []string{}},
		stands: map[string]bool{},
		lift:   make(chan struct{}),
		done:   make(chan struct{}),

		endless: spec.Fault == "pause" && spec.For == 0,
	}
	e.faults = append(e.faults, f)
	return f
}

// name gives a fault the name it asks for, made unique with a number.
func (e *Engine) name(spec Spec) string {
	base := spec.Name
	if base == "" {
		base = spec.Fault + "-" + spec.Target
	}
	name := base
	for n := 2; slices.ContainsFunc(e.faults, func(f *fault) bool { return f.record.Spec.Name == name }); n++ {
		name = fmt.Sprintf("%s-%d", base, n)
	}
	return name
}

// choose picks the replicas that a spec hits, the lowest first. The caller
// holds the lock.
func (e *Engine) choose(spec Spec) ([]string, error) {
	if !e.processes.Known(spec.Target) {
		return nil, &UsageError{Field: "target", Message: fmt.Sprintf("there is no %s here", spec.Target)}
	}
	component, single := spec.component()
	candidates := e.processes.Running(component)
	if single {
		candidates = slices.DeleteFunc(slices.Clone(candidates), func(r string) bool { return r != spec.Target })
	}
	if len(candidates) == 0 {
		return nil, &UsageError{Field: "target", Message: spec.Target + " is not running", Hint: "ordbench status shows what is"}
	}
	paused := e.paused()
	state, hint := "", ""
	switch spec.Fault {
	case "pause", "restart":
		candidates = slices.DeleteFunc(slices.Clone(candidates), func(r string) bool { return paused[r] })
		state, hint = spec.Target+" is paused", "resume it first"
	case "resume":
		candidates = slices.DeleteFunc(slices.Clone(candidates), func(r string) bool { return !paused[r] })
		state = spec.Target + " is not paused"
	}
	if len(candidates) == 0 {
		return nil, &UsageError{Field: "target", Message: state, Hint: hint}
	}
	if spec.Replicas > len(candidates) {
		return nil, &UsageError{
			Field:   "replicas",
			Message: fmt.Sprintf("%s %d replicas of %s: there are %d", spec.Fault, spec.Replicas, spec.Target, len(candidates)),
		}
	}
	if spec.Replicas > 0 {
		candidates = candidates[:spec.Replicas]
	}
	return slices.Clone(candidates), nil
}

// paused names the replicas on which a pause stands.
func (e *Engine) paused() map[string]bool {
	paused := map[string]bool{}
	for _, f := range e.faults {
		if f.record.Spec.Fault == "pause" {
			maps.Copy(paused, f.stands)
		}
	}
	return paused
}

// strike makes the effect of a fault and answers when it is proven.
func (e *Engine) strike(ctx context.Context, f *fault) (Record, error) {
	ctx, cancel := context.WithTimeout(ctx, proofLimit)
	defer cancel()
	var err error
	switch f.record.Spec.Fault {
	case "kill":
		err = e.kill(ctx, f)
	case "pause":
		err = e.pause(ctx, f)
	case "resume":
		err = e.resume(ctx, f)
	case "restart":
		err = e.restart(ctx, f)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err == nil && len(f.record.Proof) == 0 {
		err = fmt.Errorf("%s %s: no replica was left to hit", f.record.Spec.Fault, f.record.Spec.Target)
	}
	f.record.Effective = err == nil
	if err != nil {
		f.fail(err)
	}
	e.log.Info("fault", "name", f.record.Spec.Name, "effective", f.record.Effective, "replicas", f.record.Replicas, "error", f.record.Error)
	return f.copy(), err
}

// effect is one of the methods of Processes, bound to its options.
type effect func(ctx context.Context, replica string) (time.Time, string, error)

// each applies an effect to replicas at once. seen is called under the lock
// for each that showed it; a replica that was scaled away is passed over.
func (e *Engine) each(ctx context.Context, f *fault, replicas []string, apply effect, seen func(replica string, at time.Time)) error {
	errs := make([]error, len(replicas))
	var wg sync.WaitGroup
	for i, replica := range replicas {
		wg.Go(func() {
			at, detail, err := apply(ctx, replica)
			e.mu.Lock()
			defer e.mu.Unlock()
			switch {
			case errors.Is(err, os.ErrProcessDone):
				delete(f.stands, replica)
			case err != nil:
				errs[i] = err
			default:
				f.prove(replica, at, detail)
				seen(replica, at)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// all returns the faults so far.
func (e *Engine) all() []*fault {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.faults)
}

// The methods below are called under the engine's lock.

func (f *fault) prove(replica string, at time.Time, detail string) {
	f.record.Proof = append(f.record.Proof, fmt.Sprintf("%s %s: %s", at.UTC().Format("15:04:05.000"), replica, detail))
}

func (f *fault) fail(err error) {
	if f.record.Error != "" {
		f.record.Error += "; "
	}
	f.record.Error += err.Error()
}

// started keeps the first moment at which the effect was seen.
func (f *fault) started(at time.Time) {
	if f.record.Started.IsZero() || at.Before(f.record.Started) {
		f.record.Started = at
	}
}

// over takes a replica off the fault; settle ends it when it was the last.
func (f *fault) over(replica string, at time.Time) {
	delete(f.stands, replica)
	if at.After(f.last) {
		f.last = at
	}
}

func (f *fault) copy() Record {
	r := f.record
	r.Replicas, r.Proof = slices.Clone(r.Replicas), slices.Clone(r.Proof)
	return r
}

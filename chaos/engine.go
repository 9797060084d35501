package chaos

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
)

// Targets is what there is to break; a Stack satisfies it. What a fault needs
// beyond this it declares itself, in the file where it stands.
type Targets interface {
	// Running names the replicas of a component that have a process, paused
	// or not.
	Running(component string) []string
	// Down names those that have none now and are to have one again.
	Down(component string) []string
	// Away says why a replica can't be asked anything now: it is "paused",
	// "down", "held", "starting" or "stopping"; "" where it can.
	Away(replica string) string
	// Known tells whether there is such a component or replica.
	Known(target string) bool
}

// How long an effect, and what undoes it, may take to be seen; how long
// Inject waits for what is in place to show its effect; how often a standing
// fault is looked after; and when one is undone again whose replica was away.
const (
	proofLimit = 60 * time.Second
	backLimit  = 60 * time.Second
	showLimit  = 3 * time.Second
	lookEvery  = 250 * time.Millisecond
	againAfter = 50 * time.Millisecond
)

// Engine injects faults and remembers them. Its owner calls Heal before
// letting go of it.
type Engine struct {
	system  Targets
	log     *slog.Logger
	journal *Journal // nil: none is kept

	mu     sync.Mutex
	faults []*fault
	halted string // why no fault is injected any more
}

// fault is a record in the making. What is not said to be guarded by
// something else is guarded by Engine.mu, or does not change.
type fault struct {
	record Record
	act    act
	turns  map[string]*sync.Mutex // by place: held by who looks after it, or ends it there
	stands map[string]bool        // places where it stands
	proven map[string]bool        // places where it has shown its effect
	said   map[string]string      // what was noted last, by place
	unseen error                  // why the last look saw nothing
	last   time.Time              // when the last place was over
	over   context.Context        // ends at its time, or when it is ended
	end    context.CancelFunc     // ends it now
	shown  chan struct{}          // closed: its effect is proven
	done   chan struct{}          // closed: nothing runs in its name any more
}

// New returns an engine over a system. It writes what it is about to do into
// the journal first, if there is one. A nil log is silent.
func New(system Targets, journal *Journal, log *slog.Logger) *Engine {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Engine{system: system, journal: journal, log: log}
}

// Inject makes one fault and blocks until its effect is proven, or until it
// is in place and nothing has run into it for a while: its record is not
// effective yet. What follows (a restart, the end of a pause) happens behind
// it and completes the record in Records. A *UsageError means that nothing
// was done; with any other error the record is there and is not effective.
func (e *Engine) Inject(ctx context.Context, spec Spec) (Record, error) {
	f, err := e.begin(spec, time.Now())
	if err != nil {
		return Record{}, err
	}
	if err := e.strike(ctx, f); err != nil {
		return e.recordOf(f), err
	}
	patience := time.NewTimer(showLimit)
	defer patience.Stop()
	select {
	case <-f.shown:
	case <-f.done:
	case <-patience.C:
	case <-ctx.Done():
	}
	return e.recordOf(f), nil
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

func (e *Engine) recordOf(f *fault) Record {
	e.mu.Lock()
	defer e.mu.Unlock()
	return f.copy()
}

// Wait returns when every fault that ends by itself has ended. What has no
// end is not waited for.
func (e *Engine) Wait() {
	for _, f := range e.all() {
		if !f.record.Endless {
			<-f.done
		}
	}
}

// begin validates a spec, chooses its places and opens its record.
func (e *Engine) begin(spec Spec, planned time.Time) (*fault, error) {
	if problems := spec.Validate(); len(problems) > 0 {
		return nil, problems[0]
	}
	d, _ := Find(spec.Fault)
	runtime := ""
	if on, ok := e.system.(located); ok {
		runtime = on.Runtime()
	}
	if p := spec.CheckOn(runtime); p != nil {
		return nil, p
	}
	component, _ := spec.component()
	if n := len(e.system.Running(component)); n < d.Least {
		return nil, &UsageError{Field: "target", Message: fmt.Sprintf("%s needs %d running replicas of %s: there are %d", d.Name, d.Least, component, n)}
	}
	act, err := d.bind(e, spec)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.halted != "" {
		return nil, &UsageError{Field: "fault", Message: "the chaos was ended: " + e.halted}
	}
	places, err := e.choose(d, spec, act)
	if err != nil {
		return nil, err
	}
	f := e.open(spec, planned, places)
	f.act = act
	if f.record.Endless = act.undo != nil && spec.For() == 0 && act.over == nil; !f.record.Endless {
		// From now, not from when it is there or that is proven: one that has
		// to wait for a replica ends with the plan all the same.
		f.over, f.end = context.WithDeadline(context.Background(), time.Now().Add(spec.For()))
	}
	return f, nil
}

// open adds a record. The caller holds the lock.
func (e *Engine) open(spec Spec, planned time.Time, places []string) *fault {
	spec.Name = e.name(spec)
	f := &fault{
		record: Record{Spec: spec, Planned: planned, Replicas: places, Proof: []string{}},
		turns:  map[string]*sync.Mutex{},
		stands: map[string]bool{},
		proven: map[string]bool{},
		said:   map[string]string{},
		shown:  make(chan struct{}),
		done:   make(chan struct{}),
	}
	for _, place := range places {
		f.turns[place] = &sync.Mutex{}
	}
	f.over, f.end = context.WithCancel(context.Background())
	e.faults = append(e.faults, f)
	return f
}

// name gives a fault the name it asks for, made unique with a number.
func (e *Engine) name(spec Spec) string {
	base := spec.Name
	if base == "" {
		base = spec.DefaultName()
	}
	name := base
	for n := 2; slices.ContainsFunc(e.faults, func(f *fault) bool { return f.record.Spec.Name == name }); n++ {
		name = fmt.Sprintf("%s-%d", base, n)
	}
	return name
}

// DefaultName is FAULT-TARGET, in the letters that a name may have.
func (s Spec) DefaultName() string {
	return s.Fault + "-" + strings.NewReplacer("->", "-", "|", "-", "+", "-").Replace(s.Target)
}

// choose picks the places that a spec hits, the lowest replicas first. The
// caller holds the lock.
func (e *Engine) choose(d Definition, spec Spec, a act) ([]string, error) {
	places := a.places
	switch {
	case places != nil:
	case d.on != onReplicas:
		places = []string{spec.Target}
	default:
		var err error
		if places, err = e.replicas(spec, a.held()); err != nil {
			return nil, err
		}
	}
	if d.piles {
		return places, nil
	}
	for _, f := range e.faults {
		for _, p := range places {
			if f.record.Spec.Fault == d.Name && f.stands[p] {
				return nil, &UsageError{Field: "target", Message: fmt.Sprintf("%s stands on %s already", d.Name, p), Hint: "wait for its end, or heal it"}
			}
		}
	}
	return places, nil
}

// replicas picks the replicas that a spec hits. A fault that is held in place
// takes those that are down after those that run: they get it as they come
// back.
func (e *Engine) replicas(spec Spec, held bool) ([]string, error) {
	if !e.system.Known(spec.Target) {
		return nil, &UsageError{Field: "target", Message: fmt.Sprintf("there is no %s here", spec.Target)}
	}
	component, single := spec.component()
	others := func(r string) bool { return single && r != spec.Target }
	candidates := slices.DeleteFunc(slices.Clone(e.system.Running(component)), others)
	if len(candidates) == 0 {
		return nil, &UsageError{Field: "target", Message: spec.Target + " is not running", Hint: "ordbench status shows what is"}
	}
	if held {
		candidates = append(candidates, slices.DeleteFunc(slices.Clone(e.system.Down(component)), others)...)
	}
	paused := e.standingOf("pause")
	state, hint := "", ""
	switch spec.Fault {
	case "pause", "restart", "stop":
		candidates = slices.DeleteFunc(candidates, func(r string) bool { return paused[r] })
		state, hint = spec.Target+" is paused", "resume it first"
	case "resume":
		candidates = slices.DeleteFunc(candidates, func(r string) bool { return !paused[r] })
		state = spec.Target + " is not paused"
	}
	if len(candidates) == 0 {
		return nil, &UsageError{Field: "target", Message: state, Hint: hint}
	}
	many, _ := parseAmount(spec.Options["replicas"], len(candidates))
	if many > len(candidates) {
		return nil, &UsageError{
			Field:   "replicas",
			Message: fmt.Sprintf("%s %d replicas of %s: there are %d", spec.Fault, many, spec.Target, len(candidates)),
		}
	}
	return candidates[:many], nil
}

// standingOf names the places on which faults of a kind stand.
func (e *Engine) standingOf(kind string) map[string]bool {
	places := map[string]bool{}
	for _, f := range e.faults {
		if f.record.Spec.Fault == kind {
			for p := range f.stands {
				places[p] = true
			}
		}
	}
	return places
}

// all returns the faults so far.
func (e *Engine) all() []*fault {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.faults)
}

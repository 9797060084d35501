package conductor

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/ordbench/ordbench/loadgen"
	"github.com/ordbench/ordbench/loadgen/shop"
	"github.com/ordbench/ordbench/loadgen/vitals"
	"github.com/ordbench/ordbench/loadgen/wire"
	"github.com/ordbench/ordbench/reports"
	"github.com/ordbench/ordbench/reports/check"
	"github.com/ordbench/ordbench/reports/gate"
	"github.com/ordbench/ordbench/reports/traces"
	"github.com/ordbench/ordbench/reports/traffic"
	"github.com/ordbench/ordbench/scenarios"
	"github.com/ordbench/ordbench/scenarios/conductor/control"
	"github.com/ordbench/ordbench/system"
	"github.com/ordbench/ordbench/system/pki"
)

const (
	observeEvery = 250 * time.Millisecond
	drainLimit   = 60 * time.Second
	loadGrace    = 5 * time.Second        // for what is in flight when the load ends
	lead         = 100 * time.Millisecond // between the start of the clock and the first arrival
)

// ErrInterrupted says that a run ended before there was anything to report.
var ErrInterrupted = errors.New("interrupted")

// BootError says that the stack did not come up. Nothing of it is left.
type BootError struct{ Err error }

func (e *BootError) Error() string { return e.Err.Error() }

func (e *BootError) Unwrap() error { return e.Err }

// Options say what to run and where to.
type Options struct {
	Scenario  *scenarios.Scenario
	Runtime   system.Runtime
	Out       string // results go to <Out>/<scenario>/<UTC time>
	Endpoint  string // URL of another collector that wants the traces; "": none does
	Command   string // the command line, for the result
	Version   string // of ordbench, for the result
	Reporter  Reporter
	Interrupt <-chan struct{} // closed: stop the load, then heal, drain, audit and report; may be nil
}

// NewID returns a name for a stack that no other stack has.
func NewID(name string) string {
	var b [3]byte
	_, _ = rand.Read(b[:]) // never fails
	return name + "-" + hex.EncodeToString(b[:])
}

// Run plays one scenario from boot to verdict. It returns the result, which
// is stored already, and its directory. The error is a *BootError, an
// *OutDirError, ErrInterrupted, a *chaos.UsageError, or a fault of ordbench itself. When ctx ends
// everything is torn down at once.
func Run(ctx context.Context, o Options) (*reports.Result, string, error) {
	began := time.Now()
	for _, problem := range o.Scenario.CheckOn(o.Runtime.Name()) {
		return nil, "", problem // before anything is touched
	}
	dir, err := newRunDir(o.Out, o.Scenario.Name, began)
	if err != nil {
		return nil, "", err
	}
	r := &run{Options: o, dir: dir, began: began, observed: newObservation()}
	result, err := r.play(ctx)
	if ctx.Err() != nil {
		return nil, dir, ErrInterrupted
	}
	return result, dir, err
}

// run is one scenario while it is played.
type run struct {
	Options
	dir       string
	began     time.Time
	booted    time.Time
	standsOn  map[string]string // infrastructure and its version
	start     time.Time         // of the first phase: zero of the run's clock
	session   *Session
	collector *Collector // nil: the system is not traced
	traces    *traces.Book
	ways      *ways
	torn      string // what is said of traces that are not whole
	load      *loadgen.Runner
	report    *loadgen.Report
	finding   vitals.Finding
	observed  *observation
	drain     atRest
	drained   time.Duration // how long the drain took
	found     check.Judgement
	done      *completions
	stopped   bool // interrupted
	troubles  []string
}

func (r *run) play(ctx context.Context) (*reports.Result, error) {
	if err := r.write("scenario.resolved.yaml", []byte(r.Scenario.Resolved)); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(r.dir, logsDir), 0o755); err != nil {
		return nil, err
	}
	logFile, err := os.Create(filepath.Join(r.dir, logsDir, "ordbench.log"))
	if err != nil {
		return nil, err
	}
	defer logFile.Close()
	if err := r.boot(ctx, slog.New(slog.NewJSONHandler(logFile, nil))); err != nil {
		return nil, err
	}
	// Whatever comes, the stack goes. The error is that of the Close below.
	defer func() { _ = errors.Join(r.session.Close(ctx), r.collector.Close()) }()

	if err := r.drive(ctx); err != nil {
		return nil, err
	}
	if err := r.settle(ctx); err != nil {
		return nil, err
	}
	result := r.result()
	r.tell(Finishing)
	if err := r.session.Close(ctx); err != nil {
		result.Warnings = append(result.Warnings, fmt.Sprintf("tear down: %v", err))
	}
	if err := r.collector.Close(); err != nil {
		result.Warnings = append(result.Warnings, err.Error())
	}
	if err := reports.Write(r.dir, result); err != nil {
		return result, fmt.Errorf("write the result: %w", err)
	}
	return result, nil
}

// boot starts the stack. An interrupt before it is up gives it up.
func (r *run) boot(ctx context.Context, log *slog.Logger) error {
	r.tell(Booting)
	booting, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(channelContext(r.Interrupt), cancel)
	defer stop()
	cfg := r.Scenario.System
	collector, err := r.trace(ctx, &cfg)
	if err != nil {
		return err
	}
	session, err := Open(booting, r.Runtime, cfg, r.Scenario.Links(), control.Info{
		ID:        NewID(r.Scenario.Name),
		Kind:      "run",
		Scenario:  r.Scenario.Name,
		PID:       os.Getpid(),
		StartedAt: r.began,
		Dir:       r.dir,
	}, log)
	if err != nil {
		_ = collector.Close() // why there was no boot is what counts
		if booting.Err() != nil {
			return ErrInterrupted
		}
		return err
	}
	r.session, r.collector = session, collector
	if err := session.TraceTo(collector); err != nil {
		r.trouble("the collector in the stack: %v", err)
	}
	r.booted = time.Now()
	r.standsOn = session.Stack.Infrastructure(ctx)
	r.event("the stack is up: %s (%s, booted in %s)", session.Stack.URL(), session.Stack.Runtime(), r.booted.Sub(r.began).Round(time.Millisecond))
	session.Stack.AwaitPrepared(booting)
	if took := time.Since(r.booted); took > time.Second {
		r.event("what the scaler may start stands by, after %s more", took.Round(100*time.Millisecond))
	}
	return nil
}

// drive plays the phases and the faults on one clock.
func (r *run) drive(ctx context.Context) error {
	ledger, err := loadgen.CreateLedger(filepath.Join(r.dir, ledgerName))
	if err != nil {
		return err
	}

	s := r.Scenario
	connections := s.Traffic.Connections
	if users := s.Plan().Users(); users > 0 {
		connections = users // what a closed loop asks of its engine
	}
	url, err := r.session.URL()
	if err != nil {
		return err
	}
	first := r.session.Stack.Runtime() != "local" // where the system's processes stand back by themselves
	if first {
		defer wire.AllGoFirst()()
	}
	engine := wire.New(wire.Config{
		BaseURL:     url,
		Connections: connections,
		Timeout:     s.Traffic.Timeout,
		First:       first,
	})
	mix := make(map[loadgen.Op]float64, len(s.Traffic.Mix))
	for op, share := range s.Traffic.Mix {
		mix[loadgen.Op(op)] = share
	}
	orders, err := shop.New(shop.Config{
		Customers: s.Traffic.Customers,
		SKUs:      s.System.Inventory.SKUs,
		Mix:       mix,
		Seed:      uint64(s.Seed),
		Retry:     shop.Retry(s.Traffic.Retry),
		Token:     r.tokens(),
	})
	if err != nil {
		return err
	}
	r.start = time.Now().Add(lead)
	r.load = loadgen.New(loadgen.Config{
		Plan:     s.Plan(),
		Workload: orders,
		Engine:   engine,
		Ledger:   ledger,
		Start:    r.start,
		Grace:    loadGrace,
		MaxSlip:  s.Traffic.MaxSlip,

		Intervals: true,
	})
	intervals, err := traffic.CreateLog(filepath.Join(r.dir, traffic.LogFile), r.start)
	if err != nil {
		return err
	}

	loading, stopLoad := context.WithCancel(ctx)
	defer stopLoad()
	var wg sync.WaitGroup
	defer wg.Wait()
	watching, stopWatching := context.WithCancel(ctx)
	defer stopWatching()
	wg.Go(func() { r.observe(watching) })
	var watch sync.WaitGroup // beside the load, and no longer
	watch.Go(func() { intervals.Follow(loading, r.load) })
	watch.Go(func() {
		if first {
			wire.GoFirst() // or a late look would be held against a sender that was not late
		}
		r.finding = vitals.Watch(loading, vitals.Config{
			Runner: r.load, Plan: s.Plan(), Connections: connections, MaxSlip: s.Traffic.MaxSlip,
			Told: func(l vitals.Limit) { r.event("%s", limitLine(l)) },
		})
	})
	wg.Go(func() { r.guard(watching) })
	wg.Go(func() {
		select {
		case <-r.Interrupt:
			r.event("interrupted: stopping the load, then healing, draining and reporting; once more to tear down at once")
		case <-r.session.Asked():
			r.event("asked to go down: stopping the load")
		case <-loading.Done():
			return
		}
		r.stopped = true
		stopLoad()
	})
	played := make(chan struct{})
	go func() {
		defer close(played)
		r.session.Faults.Play(loading, r.start, s.Timeline())
	}()

	report, err := r.load.Run(loading)
	stopLoad()
	<-played
	watch.Wait()
	if err := intervals.Close(r.load); err != nil {
		r.trouble("write the log of intervals: %v", err)
	}
	if err != nil {
		return fmt.Errorf("drive the load: %w", err)
	}
	r.report = report
	if err := ledger.Close(); err != nil {
		return fmt.Errorf("write the ledger of attempts: %w", err)
	}
	if _, err := r.session.Faults.Heal(ctx); err != nil {
		r.trouble("heal: %v", err)
	}
	r.session.Faults.Wait()

	r.tell(Draining)
	drainBegan := time.Now()
	r.drain, err = awaitDrain(ctx, r.session.Stack, drainLimit, func(d system.Drain) { r.draining(d) })
	r.drained = time.Since(drainBegan)
	if err != nil {
		r.trouble("drain: %v", err)
	}
	// Two more looks: the first may have begun before the drain was over.
	r.observed.next(ctx)
	r.observed.next(ctx)
	if len(r.session.Faults.Records()) > 0 {
		r.observed.awaitCalm(ctx)
	}
	return ctx.Err()
}

// tokens issues the customers' bearer tokens, good for longer than the run;
// nil where nobody asks for them.
func (r *run) tokens() func(user string) (string, error) {
	if !r.Scenario.System.Patterns.Auth {
		return nil
	}
	lasts := min(r.Scenario.Length()+time.Hour, 24*time.Hour)
	return func(user string) (string, error) {
		g := pki.Grant{Subject: user, For: lasts}
		if user == shop.Everybody {
			g.Roles = []string{pki.RoleStorefront}
		}
		return r.session.Stack.Token(g)
	}
}

// settle audits the books against the ledger.
func (r *run) settle(ctx context.Context) error {
	r.tell(Auditing)
	r.collect(ctx)
	book := check.NewBook(check.Options{})
	ledger, err := os.Open(filepath.Join(r.dir, ledgerName))
	if err != nil {
		return err
	}
	defer ledger.Close()
	p := r.Scenario.System.Patterns
	closing := check.Closing{
		Drained:    r.drain.Settled,
		HaveLedger: true,
		Attempts:   r.attempts(),
		OutboxOn:   p.Outbox,
		InboxOn:    p.Inbox,
		KeysOn:     p.Idempotency,
		Direct:     r.Scenario.System.Inline(),
		TwoPhase:   r.Scenario.System.Consistency == system.Consistency2PC,
	}
	if closing.LedgerErr = loadgen.ReadLedger(ledger, book.Attempt); closing.LedgerErr != nil {
		r.trouble("read the ledger of attempts: %v", closing.LedgerErr)
	}
	r.done = newCompletions(book, r.start, r.report)
	auditing, cancel := context.WithTimeout(ctx, auditLimit)
	defer cancel()
	if closing.AuditErr = r.session.Stack.Audit(auditing, tracedOrders{r.done, r.traces}); closing.AuditErr != nil {
		r.trouble("audit: %v", closing.AuditErr)
	}
	r.found = book.Close(closing)
	return ctx.Err()
}

// result puts together everything that is known and judges it.
func (r *run) result() *reports.Result {
	s := r.Scenario
	m := &measure{run: r}
	latency, err := traffic.Latency(r.report)
	if err != nil {
		r.trouble("%v", err)
	}
	result := &reports.Result{
		SchemaVersion: reports.SchemaVersion,
		Run: reports.Run{
			ID:          r.session.Info.ID,
			StartedAt:   r.began.UTC(),
			DurationMS:  time.Since(r.began).Milliseconds(),
			BootMS:      r.booted.Sub(r.began).Milliseconds(),
			DrainMS:     r.drained.Milliseconds(),
			Command:     r.Command,
			Seed:        s.Seed,
			Runtime:     r.session.Stack.Runtime(),
			Interrupted: r.stopped,
		},
		Scenario:    reports.Scenario{Name: s.Name, Description: s.Description, SHA256: s.SHA256, Resolved: s.Resolved},
		Environment: environment(r.Version, r.standsOn),
		Validity:    traffic.Validity(r.report, r.finding, s.Traffic.MaxSlip),
		Phases:      traffic.Phases(r.report),
		Orders:      r.found.Orders,
		Invariants:  r.found.Invariants,
		Latency:     latency,
		Completion:  r.done.latency(r),
		Breakers:    m.breakers(),
		Consumers:   m.consumers(),
		Faults:      m.faults(),
		Series:      m.series(),
		Traces:      r.traced(),
		Artifacts:   r.artifacts(),
		Warnings:    r.warnings(),
	}
	result.Gates = gate.Judge(s.Gates, result)
	result.Verdict = judge(judgement{
		orders:      result.Orders,
		invariants:  result.Invariants,
		gates:       result.Gates,
		faults:      result.Faults,
		validity:    result.Validity,
		drain:       r.drain,
		books:       r.Scenario.Traffic.Measure == scenarios.MeasureBooks,
		interrupted: r.stopped,
		halted:      r.session.Faults.Halted(),
		troubles:    r.troubles,
	})
	return result
}

// attempts is how often the load sent an order: the ledger must have as many
// lines.
func (r *run) attempts() uint64 {
	var n uint64
	for _, p := range r.report.Phases {
		for _, op := range []loadgen.Op{shop.PlaceOrder, shop.FollowOrder} {
			if o := p.Ops[op]; o != nil {
				n += o.Counts.Scheduled + o.Repeats
			}
		}
	}
	return n
}

// warnings says what a reader should know before believing the numbers.
func (r *run) warnings() []string {
	warnings := []string{}
	if w := queuedWarning(r.report, r.Scenario.Traffic.Connections); w != "" {
		warnings = append(warnings, w)
	}
	if r.torn != "" {
		warnings = append(warnings, r.torn)
	}
	return append(warnings, r.troubles...)
}

// queuedWarning says how many attempts waited for a connection, "" if none.
func queuedWarning(report *loadgen.Report, connections int) string {
	var queued uint64
	for _, p := range report.Phases {
		for _, o := range p.Ops {
			queued += o.Queued
		}
	}
	if queued == 0 {
		return ""
	}
	return fmt.Sprintf("%s waited for one of the %d connections; latency counts from when an attempt was due", counted(int(queued), "attempt"), connections)
}

const ledgerName = "attempts.csv"

func (r *run) artifacts() []string {
	list := []string{"result.json", "latency.hgrm", traffic.LogFile, "scenario.resolved.yaml", ledgerName}
	if r.collector != nil {
		list = append(list, waysName)
	}
	return append(list, logsDir+"/")
}

func (r *run) write(name string, data []byte) error {
	if err := os.WriteFile(filepath.Join(r.dir, name), data, 0o644); err != nil {
		return &OutDirError{Dir: r.Out, Err: unwrapPath(err)}
	}
	return nil
}

func (r *run) trouble(format string, args ...any) {
	r.troubles = append(r.troubles, fmt.Sprintf(format, args...))
}

// channelContext is done when ch is closed.
func channelContext(ch <-chan struct{}) context.Context { return doneContext{ch} }

type doneContext struct{ done <-chan struct{} }

func (c doneContext) Done() <-chan struct{}     { return c.done }
func (doneContext) Deadline() (time.Time, bool) { return time.Time{}, false }
func (doneContext) Value(any) any               { return nil }
func (c doneContext) Err() error {
	select {
	case <-c.done:
		return context.Canceled
	default:
		return nil
	}
}

// Package conductor plays scenarios. Call Run for one scenario from boot to
// verdict, or Open for a stack that stays. It is the only place where stack,
// load, faults, observers and checks meet.
//
// The invariant: whatever happens in between, a run ends with every fault
// reverted and everything it started gone, and its verdict is pass only if
// all of it was seen to be well.
package conductor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/ordbench/ordbench/chaos"
	"github.com/ordbench/ordbench/reports"
	"github.com/ordbench/ordbench/reports/check"
	"github.com/ordbench/ordbench/scenarios/conductor/control"
	"github.com/ordbench/ordbench/system"
	"github.com/ordbench/ordbench/system/pki"
	"github.com/ordbench/ordbench/system/telemetry"
)

const (
	// dataDir holds the databases and topics of a run, beside its result
	// and so on the same disk, until the run ends.
	dataDir = "data"
	logsDir = "logs"
	// journalName is where faults are written down before they are injected.
	journalName = "faults.journal"

	closeLimit  = 30 * time.Second
	verifyLimit = 10 * time.Second // for orders on their way to arrive
	auditLimit  = 2 * time.Minute  // a broker that does not come back must not hold a verdict up for ever
)

// Session is a stack that is up, with its faults and its control socket.
type Session struct {
	Info   control.Info
	Stack  *system.Stack
	Faults *chaos.Engine

	collector *Collector    // nil: nobody wants the spans
	asked     chan struct{} // closed when somebody asked for the end
	gone      chan struct{} // closed when nothing of the stack is left
	askOnce   sync.Once
	closeOnce sync.Once
	audit     *telemetry.Audit
	wiring    *wiring
	journal   *chaos.Journal
	closed    error
	stop      context.CancelFunc
	served    chan error
}

// Open boots a stack and answers for it on a control socket. Its data and
// logs go below info.Dir, <out>/<name>/<instance>; data that killed stacks
// left below the same <out> are removed. The links that are named can be
// disturbed, at the price of a proxy in each.
func Open(ctx context.Context, rt system.Runtime, cfg system.Config, links []string, info control.Info, log *slog.Logger) (*Session, error) {
	sweep(filepath.Dir(filepath.Dir(info.Dir)))
	cfg.Dir = filepath.Join(info.Dir, dataDir)
	cfg.LogDir = filepath.Join(info.Dir, logsDir)
	for _, dir := range []string{cfg.Dir, cfg.LogDir} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
	}
	audit, err := telemetry.OpenAudit(system.AuditPath(cfg.LogDir), "ordbench", info.ID)
	if err != nil {
		return nil, err
	}
	listener, err := control.Listen(info.ID)
	if err != nil {
		return nil, errors.Join(err, audit.Close())
	}
	journal, err := chaos.CreateJournal(filepath.Join(info.Dir, journalName))
	if err != nil {
		listener.Close()
		return nil, errors.Join(err, audit.Close())
	}
	wiring := newWiring(links)
	cfg.Through, cfg.Links = wiring.through, links
	stack, err := system.Boot(ctx, rt, cfg, log)
	if err != nil {
		listener.Close()
		_, _, _ = wiring.close(), journal.Close(), audit.Close() // why there is no stack says more
		os.RemoveAll(cfg.Dir)
		return nil, &BootError{err}
	}
	wiring.join(stack.Detours())
	s := &Session{
		Info:    info,
		Stack:   stack,
		Faults:  chaos.New(site{stack, wiring}, journal, log),
		audit:   audit,
		wiring:  wiring,
		journal: journal,
		asked:   make(chan struct{}),
		gone:    make(chan struct{}),
		served:  make(chan error, 1),
	}
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	go func() { s.served <- control.Serve(serving, listener, info, s) }()
	return s, nil
}

// Asked is closed when somebody asked, through the control socket, that the
// stack go down.
func (s *Session) Asked() <-chan struct{} { return s.asked }

// Close reverts every fault, ends the stack and removes its data. It may be
// called twice; the second call returns what the first did.
func (s *Session) Close(ctx context.Context) error {
	s.closeOnce.Do(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeLimit)
		defer cancel()
		s.Faults.Wind(ctx)
		s.closed = errors.Join(s.collector.leave(), s.Stack.Close(ctx), s.wiring.close(), s.journal.Close())
		os.RemoveAll(filepath.Join(s.Info.Dir, dataDir))
		close(s.gone)
		s.stop()
		s.closed = errors.Join(s.closed, <-s.served, s.audit.Close())
	})
	return s.closed
}

// TraceTo lets the collector of its spans know of the one in the stack, where
// there is one.
func (s *Session) TraceTo(c *Collector) error {
	s.collector = c
	return c.join(s.Stack.Collector())
}

// URL is where the load goes: the gateway, or the proxy before it.
func (s *Session) URL() (string, error) {
	addr, err := s.wiring.through(chaos.Client, system.Gateway, strings.TrimPrefix(s.Stack.URL(), "http://"))
	return "http://" + addr, err
}

// Status is the stack at this moment.
func (s *Session) Status(ctx context.Context) (system.Status, error) {
	st := s.Stack.Status(ctx)
	var err error
	st.URL, err = s.URL()
	return st, err
}

// Inject injects one fault and returns when its effect is proven.
func (s *Session) Inject(ctx context.Context, spec chaos.Spec) (chaos.Record, error) {
	s.audit.Changed(ctx, "fault", slog.String("fault", spec.Fault), slog.String("target", spec.Target))
	return s.Faults.Inject(ctx, spec)
}

// Heal undoes every fault that stands.
func (s *Session) Heal(ctx context.Context) ([]chaos.Record, error) {
	s.audit.Changed(ctx, "heal")
	return s.Faults.Heal(ctx)
}

// Token issues a bearer token. Who asks for what is put on record; the token
// is not.
func (s *Session) Token(ctx context.Context, want control.TokenRequest) (control.Token, error) {
	s.audit.Changed(ctx, "token", slog.String("subject", want.User), slog.Any("roles", want.Roles),
		slog.String("for", want.For.String()), slog.Bool("rotate", want.Rotate))
	if want.Rotate {
		if err := s.Stack.RotateKeys(); err != nil {
			return control.Token{}, err
		}
	}
	token, err := s.Stack.Token(pki.Grant{Subject: want.User, Roles: want.Roles, For: want.For})
	if err != nil {
		return control.Token{}, &chaos.UsageError{Message: err.Error()}
	}
	return control.Token{Token: token}, nil
}

// DeadLetters are all messages that a group has ever given up.
func (s *Session) DeadLetters(ctx context.Context) ([]system.DeadLetter, error) {
	ctx, cancel := context.WithTimeout(ctx, auditLimit)
	defer cancel()
	return s.Stack.DeadLetters(ctx)
}

// Redrive sends dead letters back to the groups that gave them up.
func (s *Session) Redrive(ctx context.Context, ids ...string) ([]system.DeadLetter, error) {
	ctx, cancel := context.WithTimeout(ctx, auditLimit)
	defer cancel()
	return s.Stack.Redrive(ctx, ids...)
}

// Down asks for the end and returns when nothing of the stack is left.
func (s *Session) Down(ctx context.Context) error {
	s.audit.Changed(ctx, "down")
	s.askOnce.Do(func() { close(s.asked) })
	select {
	case <-s.gone:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Verify audits the books of the running stack. It gives orders on their way
// a moment to arrive; those that have not are in flight, not lost.
func (s *Session) Verify(ctx context.Context) (control.Verification, error) {
	drain, err := awaitDrain(ctx, s.Stack, verifyLimit, nil)
	if err != nil {
		return control.Verification{}, err
	}
	book := check.NewBook(check.Options{})
	auditing, cancel := context.WithTimeout(ctx, auditLimit)
	defer cancel()
	if err := s.Stack.Audit(auditing, book); err != nil {
		return control.Verification{}, fmt.Errorf("audit: %w", err)
	}
	cfg := s.Stack.Config()
	found := book.Close(check.Closing{
		Drained:  drain.Settled,
		OutboxOn: cfg.Patterns.Outbox, InboxOn: cfg.Patterns.Inbox, KeysOn: cfg.Patterns.Idempotency,
		Direct: cfg.Inline(), TwoPhase: cfg.Consistency == system.Consistency2PC,
	})
	v := control.Verification{
		Drained:    drain.Settled,
		InFlight:   drain.String(),
		Orders:     found.Orders,
		Invariants: found.Invariants,
	}
	verdict := judge(judgement{orders: found.Orders, invariants: found.Invariants, drain: drain})
	v.Outcome, v.Reason = verdict.Outcome, verdict.Reason
	switch {
	case v.Outcome == reports.Inconclusive && !drain.Settled:
		v.Reason = "nothing is wrong so far, but orders are on their way: " + drain.String()
	case v.Outcome == reports.Inconclusive && found.Orders.Accepted == 0:
		v.Reason = "no order was placed yet: there is nothing to verify"
	case v.Outcome == reports.Pass:
		v.Reason = fmt.Sprintf("the books of %s balance", counted(int(found.Orders.Accepted), "order"))
	}
	return v, nil
}

// rest is how long nothing may move before what still waits is stuck: longer
// than any retry of the system.
const rest = 5 * time.Second

// atRest is what awaitDrain saw last, and whether it will stay so.
type atRest struct {
	system.Drain
	// Settled says that nothing moves any more. What is pending then waits
	// for an event that will never come.
	Settled bool
}

// String says what is in flight or stuck, "" if nothing.
func (a atRest) String() string { return a.Drain.String() }

// awaitDrain polls until nothing moves or limit has passed, and says what
// still does. seen, if set, is told of every look.
func awaitDrain(ctx context.Context, stack *system.Stack, limit time.Duration, seen func(system.Drain)) (atRest, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	var (
		last    atRest
		lastErr error
		known   bool
		since   time.Time // only what is pending or in doubt is left, and has not changed
	)
	for {
		drain, err := stack.Drained(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			lastErr, since = err, time.Time{}
		case err == nil:
			if seen != nil {
				seen(drain)
			}
			changed := moving(drain) || !known || drain.Pending != last.Pending || drain.InDoubt != last.InDoubt
			last, known = atRest{Drain: drain, Settled: drain.Done()}, true
			switch {
			case last.Settled:
				return last, nil
			case changed || since.IsZero():
				since = time.Now()
			case time.Since(since) >= rest:
				last.Settled = true
				return last, nil
			}
		}
		select {
		case <-ctx.Done():
			if !known {
				return last, fmt.Errorf("see what is in flight: %w", errors.Join(lastErr, ctx.Err()))
			}
			return last, nil
		case <-tick.C:
		}
	}
}

// moving says whether anything is on its way that will still change a book.
func moving(d system.Drain) bool {
	for _, l := range d.Lag {
		if l.Total() > 0 {
			return true
		}
	}
	for _, n := range d.Unpublished {
		if n > 0 {
			return true
		}
	}
	return false
}

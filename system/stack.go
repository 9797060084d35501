// Package system is the order system as one thing, the Stack: Boot starts it
// on a Runtime, Scale, Kill, Pause, Resume and Restart change it, Observe and
// Status look at it, Audit reads its books, Close ends it.
//
// The invariant: a replica that is wanted runs, or the supervisor is about to
// start it again in its old place; and what Close leaves behind is nothing.
package system

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ordbench/ordbench/system/bus"
	"github.com/ordbench/ordbench/system/pki"
)

// bootLimit is how long a stack may take until all of it is ready.
const bootLimit = 60 * time.Second

// Stack is a running order system. Its methods are safe for concurrent use.
type Stack struct {
	rt       Runtime
	fleet    Fleet
	cfg      Config
	log      *slog.Logger
	probe    *prober
	lag      *bus.LagReader
	seats    []*seat // in the order of Fleet.Replicas
	bootedAt time.Time
	tempDir  bool
	issuer   *pki.Issuer

	authority *pki.Authority

	supervisors sync.WaitGroup
	dismiss     context.CancelFunc // ends the supervisors, when their seats are empty
	prepared    chan struct{}      // closed when what the scaler may start stands by
	scaler      sync.WaitGroup
	stopScaler  context.CancelFunc

	mu      sync.Mutex
	desired map[Component]int
	closing bool
	books   map[Component]*sql.DB

	close    sync.Once
	closeErr error
}

// Boot starts a stack and returns when all of it is ready. After an error
// nothing of it is left; the error says which replica is to blame, with the
// last lines of its log. ctx bounds the boot, not the life of the stack. A nil
// log is silent.
func Boot(ctx context.Context, rt Runtime, cfg Config, log *slog.Logger) (*Stack, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Stack{rt: rt, cfg: cfg, log: log, desired: map[Component]int{}, books: map[Component]*sql.DB{}, prepared: make(chan struct{})}
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("boot: %w", err)
	}
	if err := s.settle(); err != nil {
		return nil, fmt.Errorf("boot: %w", err)
	}
	fleet, err := rt.Boot(ctx, s.cfg)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("boot: %w", err), s.unsettle())
	}
	s.fleet = fleet
	s.probe = newProber()
	s.lag = bus.NewLagReader(fleet.Brokers())
	life, dismiss := context.WithCancel(context.WithoutCancel(ctx))
	s.dismiss = dismiss
	for _, r := range fleet.Replicas() {
		ready := r.Ready
		if ready == nil {
			ready = func(ctx context.Context) error { return s.probe.ready(ctx, r.Admin) }
		}
		st := newSeat(r, fleet, ready, log)
		s.seats = append(s.seats, st)
		s.supervisors.Go(func() { st.supervise(life) })
	}
	err = s.certify(1)
	if err == nil {
		s.supervisors.Go(func() { s.keepCertified(life) })
		err = s.raise(ctx)
	}
	if err != nil {
		now, cancel := context.WithCancel(context.WithoutCancel(ctx))
		cancel() // by force: there is nothing to save
		return nil, errors.Join(fmt.Errorf("boot: %w", err), s.Close(now))
	}
	s.bootedAt = time.Now()
	s.supervisors.Go(func() { s.prepare(life) })
	s.startScaler(life)
	return s, nil
}

// settle gives the stack its directories.
func (s *Stack) settle() error {
	if s.cfg.Dir == "" {
		dir, err := os.MkdirTemp("", "ordbench-")
		if err != nil {
			return err
		}
		s.cfg.Dir, s.tempDir = dir, true
	}
	dir, err := filepath.Abs(s.cfg.Dir)
	if err != nil {
		return err
	}
	s.cfg.Dir = dir
	if s.cfg.LogDir == "" {
		s.cfg.LogDir = filepath.Join(dir, "logs")
	}
	if s.cfg.LogDir, err = filepath.Abs(s.cfg.LogDir); err != nil {
		return err
	}
	for _, d := range []string{s.cfg.Dir, s.cfg.LogDir} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return errors.Join(err, s.unsettle())
		}
	}
	if err := s.credential(); err != nil {
		return errors.Join(err, s.unsettle())
	}
	return nil
}

// unsettle removes the directory if nobody asked for it by name.
func (s *Stack) unsettle() error {
	if !s.tempDir {
		return nil
	}
	return os.RemoveAll(s.cfg.Dir)
}

// stages are the components in the order of their start: those of one stage
// start together.
var stages = [][]Component{{Broker, Cache, Database}, {Order, Inventory, Payment, Notification, Gateway}}

// ends are the stages of an orderly end: first nobody comes in, then what is
// inside is finished, then what it stands on goes.
var ends = [][]Component{{Gateway}, {Order, Inventory, Payment, Notification}, {Broker, Cache, Database}}

// raise starts every component and waits until it is ready.
func (s *Stack) raise(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, bootLimit)
	defer cancel()
	for _, stage := range stages {
		for _, c := range stage {
			if err := s.resize(c, s.initial(c)); err != nil {
				return err
			}
		}
		first, ctx := errgroup.WithContext(ctx)
		for _, c := range stage {
			for _, st := range s.of(c)[:s.initial(c)] {
				first.Go(func() error { return st.awaitBoot(ctx) })
			}
		}
		if err := first.Wait(); err != nil {
			return err
		}
	}
	return nil
}

// Close ends the stack: first the way in, then the services, then the
// infrastructure; gracefully while ctx lasts, and then by force, as what holds
// data that end with the stack is ended anyway. It returns when all processes
// are gone and all addresses are free. A second Close returns what the first
// did.
func (s *Stack) Close(ctx context.Context) error {
	s.close.Do(func() { s.closeErr = s.shutDown(ctx) })
	return s.closeErr
}

func (s *Stack) shutDown(ctx context.Context) error {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	if s.stopScaler != nil {
		s.stopScaler()
		s.scaler.Wait()
	}
	for _, stage := range ends {
		patience := ctx
		if f, ok := s.fleet.(Perishable); ok && f.Perishable() && stage[0] == Broker {
			now, cancel := context.WithCancel(ctx)
			cancel()
			patience = now // there is nothing to save
		}
		var gone sync.WaitGroup
		for _, c := range stage {
			for _, st := range s.of(c) {
				gone.Go(func() { st.stop(patience) })
			}
		}
		gone.Wait()
	}
	s.dismiss()
	s.supervisors.Wait()
	s.probe.close()
	problems := []error{s.lag.Close()}
	s.mu.Lock()
	for _, db := range s.books {
		problems = append(problems, db.Close())
	}
	s.mu.Unlock()
	problems = append(problems, s.fleet.Close(), s.unsettle())
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("close the stack: %w", err)
	}
	return nil
}

// URL is the base URL of the gateway, "http://127.0.0.1:8080".
func (s *Stack) URL() string { return "http://" + s.of(Gateway)[0].Addr }

// Runtime is the name of the runtime.
func (s *Stack) Runtime() string { return s.rt.Name() }

// Config is what the stack was booted with, its directories filled in.
func (s *Stack) Config() Config { return s.cfg }

// of returns the seats of a component, replica 0 first.
func (s *Stack) of(c Component) []*seat {
	var seats []*seat
	for _, st := range s.seats {
		if st.Component == c {
			seats = append(seats, st)
		}
	}
	return seats
}

// initial is how many replicas of c the stack boots with: none of what the
// runtime has no place for.
func (s *Stack) initial(c Component) int { return min(s.cfg.initial(c), len(s.of(c))) }

// seat finds a replica by its name.
func (s *Stack) seat(replica string) (*seat, error) {
	for _, st := range s.seats {
		if st.Name == replica {
			return st, nil
		}
	}
	return nil, fmt.Errorf("there is no replica %s", replica)
}

// Package payment charges for orders whose stock is reserved, and refunds what
// was charged for orders that their customers cancel. Call Run with a Config;
// it consumes reservations and cancellations and serves HTTP until its context
// ends.
//
// The invariant: an order is charged at most once, because every charge goes
// out under a key that is the order's own and no answer is taken for granted
// that was not heard; and the two sides of a transaction in the ledger, the
// note that its event was seen, and the promise to publish it are one
// transaction. So the ledger makes zero at every moment.
package payment

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ordbench/ordbench/system/bus"
	"github.com/ordbench/ordbench/system/endpoint"
	"github.com/ordbench/ordbench/system/events"
	"github.com/ordbench/ordbench/system/lifecycle"
	"github.com/ordbench/ordbench/system/pki"
	"github.com/ordbench/ordbench/system/store"
	"github.com/ordbench/ordbench/system/telemetry"
)

const (
	maxBatch       = 128                    // orders under way at the provider at once
	commitInterval = 250 * time.Millisecond // of offsets: what a kill makes come again
)

// Run serves until ctx ends, then stops in order: the batch in hand is
// charged and committed, requests that are open get their answer, and what
// was promised is published, all within cfg.Grace. The error is nil after an
// orderly end.
func Run(ctx context.Context, cfg Config, log *slog.Logger) error {
	if err := cfg.Validate(); err != nil {
		return fmt.Errorf("payment: %w", err)
	}
	if err := run(ctx, cfg, log); err != nil {
		return fmt.Errorf("payment: %w", err)
	}
	return nil
}

func run(ctx context.Context, cfg Config, log *slog.Logger) error {
	reg := telemetry.NewRegistry("payment", cfg.Replica)
	tracer, err := telemetry.StartTracer(cfg.Tracing, "payment", cfg.Replica, reg, log)
	if err != nil {
		return err
	}
	guard, err := pki.OpenGuard(cfg.Guard, "payment", cfg.Replica, log)
	if err != nil {
		return errors.Join(err, tracer.Close())
	}
	ledger, err := openLedger(ctx, cfg)
	if err != nil {
		return errors.Join(err, guard.Close(), tracer.Close())
	}
	pub := bus.NewPublisher(cfg.Brokers)
	pub.Watch = tracer.Send
	parts := new(store.Branches)
	closeAll := func() error {
		return errors.Join(pub.Close(), parts.Close(), ledger.db.Close(), guard.Close(), tracer.Close())
	}
	if cfg.TwoPhase {
		if parts, err = store.OpenBranches(ctx, cfg.Database, "payment"); err != nil {
			return errors.Join(err, closeAll())
		}
	}
	l, err := endpoint.Listen(ctx, cfg.Listen)
	if err != nil {
		return errors.Join(err, closeAll())
	}

	metrics := newMetrics(reg)
	var aside *bus.Aside
	if cfg.DeadLetters {
		aside = bus.AsideOf(events.PaymentGroup, pub, asidePoints)
		aside.Own, aside.Watch = store.Refused, metrics.aside
	}
	ready := lifecycle.WaitFor("topics", "partitions")
	api := &api{ledger: ledger, log: log}
	clerk := &clerk{
		cashier: &cashier{provider: &provider{db: ledger.db, cfg: cfg.Provider}, inbox: cfg.Inbox, timeouts: metrics.timeouts},
		ledger:  ledger, metrics: metrics, deadLetters: cfg.DeadLetters, tracer: tracer, log: log,
	}
	if cfg.Direct {
		api.desk = &desk{cashier: clerk.cashier, ledger: ledger}
	}
	if cfg.TwoPhase {
		api.part = &branch{cashier: &cashier{provider: clerk.cashier.provider, hold: true, timeouts: metrics.timeouts}, ledger: ledger, parts: parts}
	}
	admin := telemetry.Admin{Addr: cfg.Admin, Component: "payment", Replica: cfg.Replica, Ready: ready.Check, Registry: reg}

	serve := func(ctx context.Context) error {
		return guard.Serve(ctx, l, api.handler(telemetry.NewRequests(reg).Traced(tracer, nil)), cfg.Grace)
	}
	consume := func(ctx context.Context) error {
		if err := bus.EnsureTopics(ctx, cfg.Brokers, cfg.Partitions, events.Topics()...); err != nil {
			return err
		}
		ready.Reached("topics")
		return bus.Consume(ctx, bus.ConsumerConfig{
			Brokers: cfg.Brokers, Group: events.PaymentGroup, Member: cfg.Replica, Topics: []string{events.InventoryTopic, events.CancellationsTopic},
			MaxBatch: maxBatch, Concurrency: cfg.Concurrency, CommitInterval: commitInterval, DrainTimeout: cfg.Grace, Points: consumerPoints, Hasty: !cfg.Backoff, Aside: aside, Log: log,
			OnReady: func() {
				ready.Reached("partitions")
				log.Info("ready", "listen", cfg.Listen)
			},
		}, clerk.handle)
	}
	relay := func(ctx context.Context) error {
		return bus.RunRelay(ctx, ledger.db, bus.RelayConfig{Publisher: pub, Points: relayPoints, Log: log})
	}
	return lifecycle.Service{
		Front:  []lifecycle.Task{serve, consume},
		Back:   []lifecycle.Task{admin.Serve, relay},
		Settle: ledger.db.AwaitPublished,
		Close:  closeAll,
		Ready:  ready,
		Grace:  cfg.Grace,
		Log:    log,
	}.Run(ctx)
}

// Package inventory reserves stock for orders, and sells or releases it when
// the payment is decided. Call Run with a Config; it consumes orders and
// payments and serves HTTP until its context ends.
//
// The invariant: what an order does to the stock, the movement that records
// it, the note that its event was seen, and the promise to publish the answer
// are one transaction. So initial = available + reserved + sold at every
// moment, and with the inbox on an order that is delivered again changes
// nothing.
package inventory

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
	maxBatch       = 256                    // events per transaction: a commit's fsync is shared by that many
	minBatch       = 32                     // where they take long
	batchWork      = 160 * time.Millisecond // beside the database: more would hold up a rebalance
	commitInterval = 250 * time.Millisecond // of offsets: what a kill makes come again
)

// batchSize is the most events per transaction where each takes so much work.
func batchSize(work time.Duration) int {
	if work <= 0 {
		return maxBatch
	}
	return max(minBatch, min(maxBatch, int(batchWork/work)))
}

// Run serves until ctx ends, then stops in order: the batch in hand is
// decided and committed, requests that are open get their answer, and what
// was promised is published, all within cfg.Grace. The error is nil after an
// orderly end.
func Run(ctx context.Context, cfg Config, log *slog.Logger) error {
	if err := cfg.Validate(); err != nil {
		return fmt.Errorf("inventory: %w", err)
	}
	if err := run(ctx, cfg, log); err != nil {
		return fmt.Errorf("inventory: %w", err)
	}
	return nil
}

func run(ctx context.Context, cfg Config, log *slog.Logger) error {
	reg := telemetry.NewRegistry("inventory", cfg.Replica)
	tracer, err := telemetry.StartTracer(cfg.Tracing, "inventory", cfg.Replica, reg, log)
	if err != nil {
		return err
	}
	guard, err := pki.OpenGuard(cfg.Guard, "inventory", cfg.Replica, log)
	if err != nil {
		return errors.Join(err, tracer.Close())
	}
	stock, err := openStock(ctx, cfg)
	if err != nil {
		return errors.Join(err, guard.Close(), tracer.Close())
	}
	pub := bus.NewPublisher(cfg.Brokers)
	pub.Watch = tracer.Send
	parts := new(store.Branches)
	closeAll := func() error {
		return errors.Join(pub.Close(), parts.Close(), stock.db.Close(), guard.Close(), tracer.Close())
	}
	if cfg.TwoPhase {
		if parts, err = store.OpenBranches(ctx, cfg.Database, "inventory"); err != nil {
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
		aside = bus.AsideOf(events.InventoryGroup, pub, asidePoints)
		aside.Own, aside.Watch = store.Refused, metrics.aside
	}
	ready := lifecycle.WaitFor("topics", "partitions")
	api := &api{stock: stock, log: log}
	if cfg.Direct {
		api.desk = newDesk(stock, cfg.Work)
	}
	if cfg.TwoPhase {
		api.part = &branch{desk: newDesk(stock, cfg.Work), parts: parts}
	}
	clerk := &clerk{stock: stock, work: cfg.Work, metrics: metrics, deadLetters: cfg.DeadLetters, tracer: tracer, log: log}
	admin := telemetry.Admin{Addr: cfg.Admin, Component: "inventory", Replica: cfg.Replica, Ready: ready.Check, Registry: reg}

	serve := func(ctx context.Context) error {
		return guard.Serve(ctx, l, api.handler(telemetry.NewRequests(reg).Traced(tracer, nil)), cfg.Grace)
	}
	consume := func(ctx context.Context) error {
		if err := bus.EnsureTopics(ctx, cfg.Brokers, cfg.Partitions, events.Topics()...); err != nil {
			return err
		}
		ready.Reached("topics")
		return bus.Consume(ctx, bus.ConsumerConfig{
			Brokers: cfg.Brokers, Group: events.InventoryGroup, Member: cfg.Replica,
			Topics:   []string{events.OrdersTopic, events.PaymentTopic},
			MaxBatch: batchSize(cfg.Work), Concurrency: cfg.Concurrency, CommitInterval: commitInterval, DrainTimeout: cfg.Grace, Points: consumerPoints, Hasty: !cfg.Backoff, Aside: aside, Log: log,
			OnReady: func() {
				ready.Reached("partitions")
				log.Info("ready", "listen", cfg.Listen)
			},
		}, clerk.handle)
	}
	relay := func(ctx context.Context) error {
		return bus.RunRelay(ctx, stock.db, bus.RelayConfig{Publisher: pub, Points: relayPoints, Log: log})
	}
	return lifecycle.Service{
		Front:  []lifecycle.Task{serve, consume},
		Back:   []lifecycle.Task{admin.Serve, relay},
		Settle: stock.db.AwaitPublished,
		Close:  closeAll,
		Ready:  ready,
		Grace:  cfg.Grace,
		Log:    log,
	}.Run(ctx)
}

// Package order accepts orders and follows them to their end. Call Run with a
// Config; it serves HTTP and consumes events until its context ends.
//
// The invariant: with the outbox on, an order that was answered with 202 is
// on disk together with its event, so whatever dies after the answer, the
// event is published in the end; and the status of an order never goes back.
package order

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/ordbench/ordbench/system/bus"
	"github.com/ordbench/ordbench/system/endpoint"
	"github.com/ordbench/ordbench/system/events"
	"github.com/ordbench/ordbench/system/lifecycle"
	"github.com/ordbench/ordbench/system/pki"
	"github.com/ordbench/ordbench/system/store"
	"github.com/ordbench/ordbench/system/telemetry"
)

// Most events per transaction: a commit's fsync is shared by that many.
const maxBatch = 256

// Run serves until ctx ends, then stops in order: requests that are open get
// their answer, the batch in hand is applied and committed, and the events of
// accepted orders are published, all within cfg.Grace. The error is nil after
// an orderly end.
func Run(ctx context.Context, cfg Config, log *slog.Logger) error {
	if err := cfg.Validate(); err != nil {
		return fmt.Errorf("order: %w", err)
	}
	if err := run(ctx, cfg, log); err != nil {
		return fmt.Errorf("order: %w", err)
	}
	return nil
}

func run(ctx context.Context, cfg Config, log *slog.Logger) error {
	reg := telemetry.NewRegistry("order", cfg.Replica)
	tracer, err := telemetry.StartTracer(cfg.Tracing, "order", cfg.Replica, reg, log)
	if err != nil {
		return err
	}
	guard, err := pki.OpenGuard(cfg.Guard, "order", cfg.Replica, log)
	if err != nil {
		return errors.Join(err, tracer.Close())
	}
	book, err := openBook(ctx, cfg)
	if err != nil {
		return errors.Join(err, guard.Close(), tracer.Close())
	}
	pub := bus.NewPublisher(cfg.Brokers)
	pub.Watch = tracer.Send
	closeAll := func() error { return errors.Join(pub.Close(), book.db.Close(), guard.Close(), tracer.Close()) }
	l, err := endpoint.Listen(ctx, cfg.Listen)
	if err != nil {
		return errors.Join(err, closeAll())
	}

	metrics := newMetrics(reg)
	var aside *bus.Aside
	if cfg.DeadLetters {
		aside = bus.AsideOf(events.OrderGroup, pub, asidePoints)
		aside.Own, aside.Watch = store.Refused, metrics.aside
	}
	ready := lifecycle.WaitFor("topics")
	api := &api{book: book, metrics: metrics, log: log}
	admin := telemetry.Admin{Addr: cfg.Admin, Component: "order", Replica: cfg.Replica, Ready: ready.Check, Registry: reg}

	publish := func(ctx context.Context) error {
		return bus.RunRelay(ctx, book.db, bus.RelayConfig{Publisher: pub, Points: relayPoints, Log: log})
	}
	settle := book.db.AwaitPublished
	var coordinator *coordinator // nil: there are no transactions over several services
	if cfg.Partners != nil {
		book.outbox = false
		if cfg.Partners.TwoPhase {
			coordinator = newCoordinator(book, *cfg.Partners, guard.Identity(), tracer.Transport, log)
			api.inline = coordinator
		} else {
			api.inline = newChain(book, *cfg.Partners, guard.Identity(), tracer.Transport, log)
		}
	} else if !cfg.Outbox {
		dual := newDualWrite(pub.Publish, metrics.lost, log)
		api.publish = dual.send
		publish = func(ctx context.Context) error {
			dual.run(ctx)
			return nil
		}
		settle = dual.settle
	}
	serve := func(ctx context.Context) error {
		return guard.Serve(ctx, l, api.handler(telemetry.NewRequests(reg).Traced(tracer, nil)), cfg.Grace)
	}
	consume := func(ctx context.Context) error {
		if err := bus.EnsureTopics(ctx, cfg.Brokers, cfg.Partitions, events.Topics()...); err != nil {
			return err
		}
		topics := []string{events.InventoryTopic, events.PaymentTopic}
		if cfg.DeadLetters {
			topics = append(topics, deadTopics...)
			if err := bus.EnsureTopics(ctx, cfg.Brokers, bus.DeadPartitions, deadTopics...); err != nil {
				return err
			}
		}
		ready.Reached("topics")
		log.Info("ready", "listen", cfg.Listen)
		listener := &listener{book: book, metrics: metrics, deadLetters: cfg.DeadLetters, tracer: tracer, log: log}
		return bus.Consume(ctx, bus.ConsumerConfig{
			Brokers: cfg.Brokers, Group: events.OrderGroup, Member: cfg.Replica,
			Topics:   topics,
			MaxBatch: maxBatch, DrainTimeout: cfg.Grace, Points: consumerPoints, Hasty: !cfg.Backoff, Aside: aside, Log: log,
		}, listener.handle)
	}
	front := []lifecycle.Task{serve, consume}
	switch {
	case coordinator != nil:
		recovery := &recovery{coordinator: coordinator, ended: metrics.recovered}
		front = append(front, recovery.run)
	case cfg.StuckAfter > 0:
		reaper := &reaper{book: book, limit: cfg.StuckAfter, parked: metrics.moved.WithLabelValues(string(Parked)), log: log}
		front = append(front, reaper.run)
	}
	return lifecycle.Service{
		Front:  front,
		Back:   []lifecycle.Task{admin.Serve, publish},
		Settle: settle,
		Close:  closeAll,
		Ready:  ready,
		Grace:  cfg.Grace,
		Log:    log,
	}.Run(ctx)
}

// Package notification tells customers how their orders ended. Call Run with
// a Config; it consumes the ends of orders and serves HTTP until its context
// ends.
//
// The invariant: with the inbox on a customer is told of an order once for
// each kind of end, because the message and the note that it was sent are one
// transaction.
package notification

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
	commitInterval = 250 * time.Millisecond // of offsets: what a kill makes come again
	pace           = 20 * time.Millisecond  // of fetches: no order waits for this, so it is done many at a time
)

// Run serves until ctx ends, then stops in order: the batch in hand is sent
// and committed, and requests that are open get their answer, all within
// cfg.Grace. The error is nil after an orderly end.
func Run(ctx context.Context, cfg Config, log *slog.Logger) error {
	if err := cfg.Validate(); err != nil {
		return fmt.Errorf("notification: %w", err)
	}
	if err := run(ctx, cfg, log); err != nil {
		return fmt.Errorf("notification: %w", err)
	}
	return nil
}

func run(ctx context.Context, cfg Config, log *slog.Logger) error {
	reg := telemetry.NewRegistry("notification", cfg.Replica)
	tracer, err := telemetry.StartTracer(cfg.Tracing, "notification", cfg.Replica, reg, log)
	if err != nil {
		return err
	}
	guard, err := pki.OpenGuard(cfg.Guard, "notification", cfg.Replica, log)
	if err != nil {
		return errors.Join(err, tracer.Close())
	}
	mailbox, err := openMailbox(ctx, cfg)
	if err != nil {
		return errors.Join(err, guard.Close(), tracer.Close())
	}
	pub := bus.NewPublisher(cfg.Brokers) // of messages that are set aside
	pub.Watch = tracer.Send
	closeAll := func() error {
		return errors.Join(pub.Close(), mailbox.db.Close(), guard.Close(), tracer.Close())
	}
	l, err := endpoint.Listen(ctx, cfg.Listen)
	if err != nil {
		return errors.Join(err, closeAll())
	}

	metrics := newMetrics(reg)
	var aside *bus.Aside
	if cfg.DeadLetters {
		aside = bus.AsideOf(events.NotificationGroup, pub, asidePoints)
		aside.Own, aside.Watch = store.Refused, metrics.aside
	}
	ready := lifecycle.WaitFor("topics", "partitions")
	api := &api{mailbox: mailbox, direct: cfg.Direct, log: log}
	herald := &herald{mailbox: mailbox, metrics: metrics, deadLetters: cfg.DeadLetters, tracer: tracer, log: log}
	admin := telemetry.Admin{Addr: cfg.Admin, Component: "notification", Replica: cfg.Replica, Ready: ready.Check, Registry: reg}

	serve := func(ctx context.Context) error {
		return guard.Serve(ctx, l, api.handler(telemetry.NewRequests(reg).Traced(tracer, nil)), cfg.Grace)
	}
	consume := func(ctx context.Context) error {
		if err := bus.EnsureTopics(ctx, cfg.Brokers, cfg.Partitions, events.Topics()...); err != nil {
			return err
		}
		ready.Reached("topics")
		return bus.Consume(ctx, bus.ConsumerConfig{
			Brokers: cfg.Brokers, Group: events.NotificationGroup, Member: cfg.Replica,
			Topics:   []string{events.InventoryTopic, events.PaymentTopic},
			MaxBatch: maxBatch, Concurrency: cfg.Concurrency, Pace: pace, CommitInterval: commitInterval, DrainTimeout: cfg.Grace, Points: consumerPoints, Hasty: !cfg.Backoff, Aside: aside, Log: log,
			OnReady: func() {
				ready.Reached("partitions")
				log.Info("ready", "listen", cfg.Listen)
			},
		}, herald.handle)
	}
	return lifecycle.Service{
		Front: []lifecycle.Task{serve, consume},
		Back:  []lifecycle.Task{admin.Serve},
		Close: closeAll,
		Ready: ready,
		Grace: cfg.Grace,
		Log:   log,
	}.Run(ctx)
}

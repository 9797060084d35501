// Package inventory reserves stock for orders. Call Run with a Config; it
// consumes orders and serves HTTP until its context ends.
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

	"golang.org/x/sync/errgroup"

	"github.com/ordbench/ordbench/system/bus"
	"github.com/ordbench/ordbench/system/endpoint"
	"github.com/ordbench/ordbench/system/events"
	"github.com/ordbench/ordbench/system/telemetry"
)

const (
	maxBatch       = 32                     // orders per transaction: more would hold up a rebalance
	commitInterval = 250 * time.Millisecond // of offsets: what a kill makes come again
)

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
	stock, err := openStock(ctx, cfg)
	if err != nil {
		return err
	}
	pub := bus.NewPublisher(cfg.Brokers)
	l, err := endpoint.Listen(ctx, cfg.Listen)
	if err != nil {
		return errors.Join(err, pub.Close(), stock.db.Close())
	}

	reg := telemetry.NewRegistry("inventory", cfg.Replica)
	ready := waitFor("topics", "partitions")
	api := &api{stock: stock, log: log}
	clerk := &clerk{stock: stock, work: cfg.Work, metrics: newMetrics(reg), log: log}

	// The front takes work in, and ends with ctx. The back keeps what the
	// front has promised, so it ends after it; but if it breaks, the front
	// has no one to promise for.
	open, closeFront := context.WithCancel(ctx)
	defer closeFront()
	front, frontCtx := errgroup.WithContext(open)
	rest, endBack := context.WithCancel(context.WithoutCancel(ctx))
	defer endBack()
	back, backCtx := errgroup.WithContext(rest)
	context.AfterFunc(backCtx, closeFront)

	back.Go(func() error {
		return telemetry.Admin{
			Addr: cfg.Admin, Component: "inventory", Replica: cfg.Replica,
			Ready: ready.check, Registry: reg,
		}.Serve(backCtx)
	})
	back.Go(func() error { return orderly(backCtx, bus.RunRelay(backCtx, stock.db, pub, log)) })

	front.Go(func() error {
		return endpoint.Serve(frontCtx, l, endpoint.NewServer(api.handler(telemetry.NewRequests(reg))), cfg.Grace)
	})
	front.Go(func() error {
		topics := []string{events.OrdersTopic, events.InventoryTopic}
		if err := bus.EnsureTopics(frontCtx, cfg.Brokers, cfg.Partitions, topics...); err != nil {
			return orderly(frontCtx, err)
		}
		ready.reached("topics")
		return orderly(frontCtx, bus.Consume(frontCtx, bus.ConsumerConfig{
			Brokers: cfg.Brokers, Group: events.InventoryGroup, Member: cfg.Replica, Topics: []string{events.OrdersTopic},
			MaxBatch: maxBatch, CommitInterval: commitInterval, DrainTimeout: cfg.Grace, Log: log,
			OnReady: func() {
				ready.reached("partitions")
				log.Info("ready", "listen", cfg.Listen)
			},
		}, clerk.handle))
	})

	<-frontCtx.Done()
	ready.stop()
	log.Info("stopping", "grace", cfg.Grace.String())
	deadline, cancel := context.WithTimeout(backCtx, cfg.Grace)
	defer cancel()
	err = front.Wait()
	stock.db.AwaitPublished(deadline)
	endBack()
	return errors.Join(err, back.Wait(), pub.Close(), stock.db.Close())
}

// orderly drops the error that only says that ctx has ended.
func orderly(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

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

	"golang.org/x/sync/errgroup"

	"github.com/ordbench/ordbench/system/bus"
	"github.com/ordbench/ordbench/system/endpoint"
	"github.com/ordbench/ordbench/system/events"
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
	book, err := openBook(ctx, cfg)
	if err != nil {
		return err
	}
	pub := bus.NewPublisher(cfg.Brokers)
	l, err := endpoint.Listen(ctx, cfg.Listen)
	if err != nil {
		return errors.Join(err, pub.Close(), book.db.Close())
	}

	reg := telemetry.NewRegistry("order", cfg.Replica)
	metrics := newMetrics(reg)
	ready := waitFor("topics")
	api := &api{book: book, metrics: metrics, log: log}

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
			Addr: cfg.Admin, Component: "order", Replica: cfg.Replica,
			Ready: ready.check, Registry: reg,
		}.Serve(backCtx)
	})
	var settle func(context.Context) // waits until every promised event is published
	if cfg.Outbox {
		settle = book.db.AwaitPublished
		back.Go(func() error { return orderly(backCtx, bus.RunRelay(backCtx, book.db, pub, log)) })
	} else {
		dual := newDualWrite(pub.Publish, metrics.lost, log)
		api.publish = dual.send
		sent := make(chan struct{})
		settle = func(ctx context.Context) {
			dual.finish()
			select {
			case <-sent:
			case <-ctx.Done():
			}
		}
		back.Go(func() error {
			defer close(sent)
			dual.run(backCtx)
			return nil
		})
	}

	front.Go(func() error {
		return endpoint.Serve(frontCtx, l, endpoint.NewServer(api.handler(telemetry.NewRequests(reg))), cfg.Grace)
	})
	front.Go(func() error {
		topics := []string{events.OrdersTopic, events.InventoryTopic}
		if err := bus.EnsureTopics(frontCtx, cfg.Brokers, cfg.Partitions, topics...); err != nil {
			return orderly(frontCtx, err)
		}
		ready.reached("topics")
		log.Info("ready", "listen", cfg.Listen)
		listener := &listener{book: book, metrics: metrics, log: log}
		return orderly(frontCtx, bus.Consume(frontCtx, bus.ConsumerConfig{
			Brokers: cfg.Brokers, Group: events.OrderGroup, Member: cfg.Replica, Topics: []string{events.InventoryTopic},
			MaxBatch: maxBatch, DrainTimeout: cfg.Grace, Log: log,
		}, listener.handle))
	})

	<-frontCtx.Done()
	ready.stop()
	log.Info("stopping", "grace", cfg.Grace.String())
	deadline, cancel := context.WithTimeout(backCtx, cfg.Grace)
	defer cancel()
	err = front.Wait()
	settle(deadline)
	endBack()
	return errors.Join(err, back.Wait(), pub.Close(), book.db.Close())
}

// orderly drops the error that only says that ctx has ended.
func orderly(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// Package docker runs a stack in containers, through testcontainers-go: give
// a Runtime to system.Boot. Broker, cache and database are Kafka, Redis and
// PostgreSQL; each replica of a service is a container of an image that holds
// nothing but this program.
//
// The invariant: everything that a stack makes, containers, a network and
// volumes, carries its label, and what carries the label goes with it. A
// reaper of our own, a detached process, sees to that if this one is killed,
// and every boot sweeps what dead stacks left. Nothing is published but on
// the loopback interface.
package docker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/ordbench/ordbench/system"
)

// Runtime starts replicas as containers.
type Runtime struct {
	// Images overrides those of the system's Config, one by one.
	Images system.ImagesConfig
	// Binary is this program for the daemon's Linux, static; "" is the running
	// binary where that is one, and else it is built.
	Binary string
	// Reaper is the command of the reaper; nil is this binary's own "reap".
	Reaper []string
	// Progress is told of what takes long, the pull of an image; nil is
	// silent.
	Progress func(line string)
	// Log is told what nobody waits for; nil is silent.
	Log *slog.Logger
}

// startsAtOnce is how many containers are made and started at a time. It costs a
// quarter of a second of processor time and more, most of it under one lock:
// ten at once would all be late, and the system behind them.
const startsAtOnce = 3

// Name is "docker".
func (Runtime) Name() string { return "docker" }

// Boot finds the images, pulls what is missing, and makes network, volumes and
// configurations.
func (r Runtime) Boot(ctx context.Context, cfg system.Config) (system.Fleet, error) {
	if r.Log == nil {
		r.Log = slog.New(slog.DiscardHandler)
	}
	if r.Progress == nil {
		r.Progress = func(string) {}
	}
	if err := supports(cfg); err != nil {
		return nil, fmt.Errorf("%w: take --runtime local", err)
	}
	e, err := connect(ctx)
	if err != nil {
		return nil, err
	}
	f := newFleet(r, cfg, e)
	if err := f.prepare(ctx); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// prepare does all that a fleet needs before its first start.
func (f *fleet) prepare(ctx context.Context) error {
	sweeping, cancel := context.WithTimeout(ctx, closeLimit)
	_, _, err := f.engine.removeStacks(sweeping, abandoned)
	cancel()
	if err != nil {
		f.rt.Log.Warn("sweep what dead stacks left", "error", err)
	}
	if err := f.findImages(ctx); err != nil {
		return err
	}
	if err := f.found(ctx, system.Components()...); err != nil {
		return err
	}
	return f.furnish(ctx)
}

// found makes what every place needs, a name, a reaper and a network, and the
// places of the components that are named.
func (f *fleet) found(ctx context.Context, components ...system.Component) error {
	var err error
	if f.claim, err = claimStack(); err != nil {
		return err
	}
	if f.reaper, err = startReaper(f.rt.Reaper, f.claim.id); err != nil {
		return fmt.Errorf("start the reaper: %w", err)
	}
	if err := f.makeNetwork(ctx); err != nil {
		return err
	}
	for _, c := range components {
		if err := f.reserve(c); err != nil {
			return fmt.Errorf("%s: %w", c, err)
		}
	}
	return nil
}

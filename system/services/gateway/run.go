package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ordbench/ordbench/system/endpoint"
	"github.com/ordbench/ordbench/system/telemetry"
)

const component = "gateway"

// errStopping is why a gateway that drains is not ready.
var errStopping = errors.New("stopping")

// Run serves the API until ctx ends, then finishes what was begun, for at
// most cfg.Grace. The error is nil after an orderly end.
func Run(ctx context.Context, cfg Config, log *slog.Logger) error {
	if err := cfg.Validate(); err != nil {
		return fmt.Errorf("gateway config: %w", err)
	}
	return run(ctx, cfg, defaultLimits(), log)
}

// run is Run within limits of the caller's choice.
func run(ctx context.Context, cfg Config, lim limits, log *slog.Logger) error {
	reg := telemetry.NewRegistry(component, cfg.Replica)
	g, err := newGateway(cfg, lim, reg, log)
	if err != nil {
		return fmt.Errorf("gateway config: %w", err)
	}
	defer g.close()
	var stopping atomic.Bool
	admin := telemetry.Admin{
		Addr: cfg.Admin, Component: component, Replica: cfg.Replica, Registry: reg,
		Breakers: func() any { return g.breakers.Snapshot() },
		Ready: func(context.Context) error {
			if stopping.Load() {
				return errStopping
			}
			return nil
		},
	}
	api, err := endpoint.Listen(ctx, cfg.Listen)
	if err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	health, err := admin.Listen(ctx)
	if err != nil {
		api.Close()
		return fmt.Errorf("gateway: %w", err)
	}
	// The admin endpoint outlives the API, so that an end can be watched.
	// Whichever of the two breaks ends the other.
	work, cancelWork := context.WithCancel(ctx)
	watch, cancelWatch := context.WithCancel(context.WithoutCancel(ctx))
	var group errgroup.Group
	group.Go(func() error {
		defer cancelWork()
		return admin.ServeOn(watch, health)
	})
	group.Go(func() error {
		defer cancelWatch()
		return answerOn(work, api, &http.Server{
			Handler:           g.handler(telemetry.NewRequests(reg)),
			MaxHeaderBytes:    lim.headerBytes,
			ReadHeaderTimeout: lim.headerWithin,
			ReadTimeout:       lim.bodyWithin,
			WriteTimeout:      lim.bodyWithin + cfg.Timeout + lim.readWithin,
			IdleTimeout:       lim.idle,
			ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		}, cfg.Grace, func() { stopping.Store(true) })
	})
	log.Info("gateway serves", "listen", api.Addr().String(), "admin", health.Addr().String())
	return group.Wait()
}

// answerOn serves l until ctx ends and then lets open requests finish for at
// most grace.
func answerOn(ctx context.Context, l net.Listener, srv *http.Server, grace time.Duration, onStop func()) error {
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	select {
	case err := <-ended:
		return fmt.Errorf("gateway: serve on %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	onStop()
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	err := srv.Shutdown(stop)
	if err != nil {
		_ = srv.Close() // what is left is cut off
	}
	if closed := <-ended; err == nil && !errors.Is(closed, http.ErrServerClosed) {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("gateway: shut down %s: %w", l.Addr(), err)
	}
	return nil
}

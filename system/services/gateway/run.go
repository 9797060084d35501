package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/ordbench/ordbench/system/endpoint"
	"github.com/ordbench/ordbench/system/lifecycle"
	"github.com/ordbench/ordbench/system/telemetry"
)

const component = "gateway"

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
	tracer, err := telemetry.StartTracer(cfg.Tracing, component, cfg.Replica, reg, log)
	if err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	g, err := newGateway(cfg, lim, reg, tracer, log)
	if err != nil {
		return errors.Join(fmt.Errorf("gateway config: %w", err), tracer.Close())
	}
	closeAll := func() error {
		g.close()
		return tracer.Close()
	}
	ready := lifecycle.WaitFor()
	admin := telemetry.Admin{
		Addr: cfg.Admin, Component: component, Replica: cfg.Replica, Ready: ready.Check, Registry: reg,
		Breakers: func() any { return g.breakers.Snapshot() },
	}
	api, err := endpoint.Listen(ctx, cfg.Listen)
	if err != nil {
		return errors.Join(fmt.Errorf("gateway: %w", err), closeAll())
	}
	health, err := admin.Listen(ctx)
	if err != nil {
		api.Close()
		return errors.Join(fmt.Errorf("gateway: %w", err), closeAll())
	}
	requests := telemetry.NewRequests(reg).Traced(tracer, g.believes)
	srv := &http.Server{
		Handler:           g.handler(requests),
		MaxHeaderBytes:    lim.headerBytes,
		ReadHeaderTimeout: lim.headerWithin,
		ReadTimeout:       lim.bodyWithin,
		WriteTimeout:      lim.bodyWithin + cfg.Timeout + lim.readWithin,
		IdleTimeout:       lim.idle,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	watch(srv)
	log.Info("gateway serves", "listen", api.Addr().String(), "admin", health.Addr().String())
	err = lifecycle.Service{
		Front: []lifecycle.Task{func(ctx context.Context) error {
			return endpoint.Serve(ctx, watched{api, g.audit, g.turnstile(requests)}, srv, cfg.Grace)
		}},
		// Health outlives the API, so that an end can be watched.
		Back:  []lifecycle.Task{func(ctx context.Context) error { return admin.ServeOn(ctx, health) }},
		Close: closeAll,
		Ready: ready,
		Grace: cfg.Grace,
		Log:   log,
	}.Run(ctx)
	if err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	return nil
}

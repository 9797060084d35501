package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ordbench/ordbench/system/endpoint"
	"github.com/ordbench/ordbench/system/resilience"
	"github.com/ordbench/ordbench/system/telemetry"
)

const component = "gateway"

// cacheBreaker guards the limiter's cache, whatever the scenario does with
// the other breakers: without it, a hanging cache would slow every request.
var cacheBreaker = resilience.BreakerConfig{Enabled: true, Failures: 3, OpenFor: time.Second}

// errStopping is why a gateway that drains is not ready.
var errStopping = errors.New("stopping")

// Run serves the API until ctx ends, then finishes what was begun, for at
// most cfg.Grace. The error is nil after an orderly end.
func Run(ctx context.Context, cfg Config, log *slog.Logger) error {
	if err := cfg.Validate(); err != nil {
		return fmt.Errorf("gateway config: %w", err)
	}
	l, err := endpoint.Listen(ctx, cfg.Listen)
	if err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	return serve(ctx, cfg, defaultLimits(), l, log)
}

// serve is Run on a listener and within limits of the caller's choice.
func serve(ctx context.Context, cfg Config, lim limits, l net.Listener, log *slog.Logger) error {
	trusted, err := parsePrefixes(cfg.TrustedProxies)
	if err != nil {
		l.Close()
		return fmt.Errorf("gateway config: %w", err)
	}
	transport := newTransport(cfg.Timeout)
	defer transport.CloseIdleConnections()
	reg := telemetry.NewRegistry(component, cfg.Replica)
	g := &gateway{
		limits:    lim,
		proxies:   trusted,
		order:     newUpstream("order", cfg.Orders, cfg, transport),
		inventory: newUpstream("inventory", cfg.Inventories, cfg, transport),
		metrics:   newMetrics(reg),
		log:       log,
	}
	breakers := resilience.Breakers{g.order.breaker, g.inventory.breaker}
	if cfg.RateLimit.Requests > 0 {
		cache := resilience.NewCacheClient(cfg.Cache)
		defer cache.Close()
		guard := resilience.NewBreaker("gateway->cache", cacheBreaker)
		breakers = append(breakers, guard)
		g.limiter = resilience.NewLimiter(cfg.RateLimit, cache, guard)
		g.policy = []string{`"client";q=` + strconv.Itoa(cfg.RateLimit.Requests) +
			";w=" + strconv.FormatInt(max(1, int64(cfg.RateLimit.Per/time.Second)), 10)}
	}
	for _, b := range breakers {
		b.Notify(func(t resilience.Transition) {
			log.Warn("breaker changed", "breaker", b.Name(), "from", t.From, "to", t.To)
		})
	}
	reg.MustRegister(breakers)

	var stopping atomic.Bool
	admin := telemetry.Admin{
		Addr: cfg.Admin, Component: component, Replica: cfg.Replica, Registry: reg,
		Breakers: func() any { return breakers.Snapshot() },
		Ready: func(context.Context) error {
			if stopping.Load() {
				return errStopping
			}
			return nil
		},
	}
	// The admin endpoint outlives the API, so that an end can be watched.
	// Whichever of the two breaks ends the other.
	work, cancelWork := context.WithCancel(ctx)
	watch, cancelWatch := context.WithCancel(context.WithoutCancel(ctx))
	var group errgroup.Group
	group.Go(func() error {
		defer cancelWork()
		return admin.Serve(watch)
	})
	group.Go(func() error {
		defer cancelWatch()
		return answerOn(work, l, &http.Server{
			Handler:           g.handler(telemetry.NewRequests(reg)),
			MaxHeaderBytes:    lim.headerBytes,
			ReadHeaderTimeout: lim.headerWithin,
			ReadTimeout:       lim.bodyWithin,
			WriteTimeout:      lim.bodyWithin + cfg.Timeout + lim.readWithin,
			IdleTimeout:       lim.idle,
			ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		}, cfg.Grace, func() { stopping.Store(true) })
	})
	log.Info("gateway serves", "listen", l.Addr().String(), "admin", cfg.Admin)
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
		srv.Close()
	}
	<-ended
	if err != nil {
		return fmt.Errorf("gateway: shut down %s: %w", l.Addr(), err)
	}
	return nil
}

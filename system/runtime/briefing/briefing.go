// Package briefing says what each replica of a service is told: Of makes the
// configuration that `ordbench serve` reads. Every runtime starts the same
// services; they differ in the Site, which is where things are.
package briefing

import (
	"time"

	"github.com/ordbench/ordbench/system"
	"github.com/ordbench/ordbench/system/pki"
	"github.com/ordbench/ordbench/system/resilience"
	"github.com/ordbench/ordbench/system/services/gateway"
	"github.com/ordbench/ordbench/system/services/inventory"
	"github.com/ordbench/ordbench/system/services/notification"
	"github.com/ordbench/ordbench/system/services/order"
	"github.com/ordbench/ordbench/system/services/payment"
	"github.com/ordbench/ordbench/system/telemetry"
)

// serviceGrace is how long a service may take to finish what it has begun.
// The stack waits a little longer than that before it kills.
const serviceGrace = 5 * time.Second

// Site is where a replica finds the others, as host:port from where it runs.
type Site struct {
	Brokers     []string
	Cache       string
	Orders      []string
	Inventories []string
	// Payments and Notifications are called only in line.
	Payments, Notifications []string
	// Database is the database of a service, a file or a postgres:// URL.
	Database func(system.Component) string
	// Collector is the URL that spans go to; "": there are no spans.
	Collector string
	// Spool is the directory where spans wait, whoever made them: what a
	// killed process left there is sent by the next that starts.
	Spool string
	// Keys is where the public keys of bearer tokens are: a file or a URL.
	Keys string
	// Identity is the file with the credentials of a replica; nil: there are
	// none, and services call each other without TLS.
	Identity func(replica string) string
	// Audit is the file for whom was turned away; "": none.
	Audit string
	// TrustedProxies may say who a client is.
	TrustedProxies []string
}

func (s Site) tracing(cfg system.Config) telemetry.Tracing {
	if !cfg.Patterns.Tracing || s.Collector == "" {
		return telemetry.Tracing{}
	}
	return telemetry.Tracing{Endpoint: s.Collector, Sample: cfg.Tracing.Sample, Packed: true, Spool: s.Spool}
}

// clockSkew is how far the clocks of issuer and gateway may be apart.
const clockSkew = 5 * time.Second

func (s Site) bearer(cfg system.Config) pki.BearerConfig {
	if !cfg.Patterns.Auth {
		return pki.BearerConfig{}
	}
	return pki.BearerConfig{Keys: s.Keys, Issuer: pki.TokenIssuer, Audience: pki.TokenAudience, Skew: clockSkew}
}

func (s Site) identity(cfg system.Config, replica string) string {
	if !cfg.Patterns.MTLS || s.Identity == nil {
		return ""
	}
	return s.Identity(replica)
}

func (s Site) guard(cfg system.Config, replica string) pki.GuardConfig {
	return pki.GuardConfig{Identity: s.identity(cfg, replica), Audit: s.Audit}
}

func rateLimit(cfg system.Config) gateway.RateLimit {
	if !cfg.Patterns.RateLimit {
		return gateway.RateLimit{}
	}
	return gateway.RateLimit{Requests: cfg.Gateway.RateLimit.Requests, Per: cfg.Gateway.RateLimit.Per}
}

func pool(cfg system.Config) resilience.PoolConfig {
	if !cfg.Patterns.Shedding && !cfg.Patterns.Bulkhead {
		return resilience.PoolConfig{}
	}
	return resilience.PoolConfig{Places: cfg.Gateway.Places, Shed: cfg.Patterns.Shedding}
}

// partnerTimeout is how much of the time that the gateway gives an order one
// of the four calls may take.
const partnerTimeout = 4

// partners are whom the order service calls, if it does.
func (s Site) partners(cfg system.Config) *order.Partners {
	if !cfg.Inline() {
		return nil
	}
	return &order.Partners{
		Inventories:   s.Inventories,
		Payments:      s.Payments,
		Notifications: s.Notifications,
		Timeout:       cfg.Gateway.Timeout / partnerTimeout,
		TwoPhase:      cfg.Consistency == system.Consistency2PC,
	}
}

// Of is the configuration of one replica of a service, which listens on the
// addresses of r.
func Of(cfg system.Config, r system.Replica, at Site) any {
	tracing := at.tracing(cfg)
	direct := cfg.Inline() && cfg.Consistency != system.Consistency2PC // participants are not told of events
	switch r.Component {
	case system.Order:
		return order.Config{
			Replica: r.Name, Listen: r.Addr, Admin: r.Admin,
			Brokers:     at.Brokers,
			Database:    at.Database(r.Component),
			Partitions:  cfg.Scaling.Partitions,
			Outbox:      cfg.Patterns.Outbox,
			Inbox:       cfg.Patterns.Inbox,
			Idempotency: cfg.Patterns.Idempotency,
			DeadLetters: cfg.Patterns.DeadLetters,
			Backoff:     cfg.Patterns.Backoff,
			StuckAfter:  cfg.Order.StuckAfter,
			Partners:    at.partners(cfg),
			Grace:       serviceGrace,
			Tracing:     tracing,
			Guard:       at.guard(cfg, r.Name),
		}
	case system.Inventory:
		return inventory.Config{
			Replica: r.Name, Listen: r.Addr, Admin: r.Admin,
			Brokers:     at.Brokers,
			Database:    at.Database(r.Component),
			Direct:      direct,
			TwoPhase:    cfg.Consistency == system.Consistency2PC,
			Partitions:  cfg.Scaling.Partitions,
			Work:        cfg.Inventory.Work,
			Concurrency: cfg.Inventory.Concurrency,
			Inbox:       cfg.Patterns.Inbox,
			DeadLetters: cfg.Patterns.DeadLetters,
			Backoff:     cfg.Patterns.Backoff,
			SKUs:        cfg.Inventory.SKUs,
			Stock:       cfg.Inventory.Stock,
			Grace:       serviceGrace,
			Tracing:     tracing,
			Guard:       at.guard(cfg, r.Name),
		}
	case system.Payment:
		return payment.Config{
			Replica: r.Name, Listen: r.Addr, Admin: r.Admin,
			Brokers:     at.Brokers,
			Database:    at.Database(r.Component),
			Direct:      direct,
			TwoPhase:    cfg.Consistency == system.Consistency2PC,
			Partitions:  cfg.Scaling.Partitions,
			Concurrency: cfg.Payment.Concurrency,
			Inbox:       cfg.Patterns.Inbox,
			DeadLetters: cfg.Patterns.DeadLetters,
			Backoff:     cfg.Patterns.Backoff,
			Provider: payment.ProviderConfig{
				Seed:    cfg.Payment.Seed,
				Work:    cfg.Payment.Work,
				Decline: cfg.Payment.Decline,
				Timeout: cfg.Payment.Timeout,
			},
			Grace:   serviceGrace,
			Tracing: tracing,
			Guard:   at.guard(cfg, r.Name),
		}
	case system.Notification:
		return notification.Config{
			Replica: r.Name, Listen: r.Addr, Admin: r.Admin,
			Brokers:     at.Brokers,
			Database:    at.Database(r.Component),
			Direct:      cfg.Inline(),
			Partitions:  cfg.Scaling.Partitions,
			Concurrency: cfg.Notification.Concurrency,
			Inbox:       cfg.Patterns.Inbox,
			DeadLetters: cfg.Patterns.DeadLetters,
			Backoff:     cfg.Patterns.Backoff,
			Grace:       serviceGrace,
			Tracing:     tracing,
			Guard:       at.guard(cfg, r.Name),
		}
	case system.Gateway:
		return gateway.Config{
			Replica: r.Name, Listen: r.Addr, Admin: r.Admin,
			Orders:      at.Orders,
			Inventories: at.Inventories,
			Cache:       at.Cache,
			RateLimit:   rateLimit(cfg),
			Pool:        pool(cfg),
			OnePool:     !cfg.Patterns.Bulkhead,
			Retry: resilience.RetryConfig{
				Tries:   cfg.Gateway.Tries,
				Backoff: cfg.Patterns.Backoff,
				Budget:  cfg.Patterns.RetryBudget,
			},
			Breaker: resilience.BreakerConfig{
				Enabled:  cfg.Patterns.Breaker,
				Failures: cfg.Gateway.Breaker.Failures,
				OpenFor:  cfg.Gateway.Breaker.OpenFor,
			},
			Timeout:        cfg.Gateway.Timeout,
			TrustedProxies: at.TrustedProxies,
			Grace:          serviceGrace,
			Tracing:        tracing,
			Bearer:         at.bearer(cfg),
			Identity:       at.identity(cfg, r.Name),
			Audit:          at.Audit,
		}
	}
	panic("briefing: no configuration for " + r.Name)
}

package local

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/ordbench/ordbench/system"
	"github.com/ordbench/ordbench/system/resilience"
	"github.com/ordbench/ordbench/system/runtime/embedded"
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

// proxies may say who a client is: whatever is on this machine.
var proxies = []string{"127.0.0.0/8", "::1/128"}

// configure writes the configuration of every replica.
func (f *fleet) configure() error {
	for _, r := range f.replicas {
		if err := os.MkdirAll(f.dataDir(r), 0o755); err != nil {
			return fmt.Errorf("configure %s: %w", r.Name, err)
		}
		text, err := json.MarshalIndent(f.config(r), "", "  ")
		if err != nil {
			return fmt.Errorf("configure %s: %w", r.Name, err)
		}
		if err := os.WriteFile(f.configPath(r.Name), append(text, '\n'), 0o600); err != nil {
			return fmt.Errorf("configure %s: %w", r.Name, err)
		}
	}
	return nil
}

func (f *fleet) configPath(replica string) string {
	return filepath.Join(f.cfg.Dir, replica+".json")
}

// config is what one replica is told.
func (f *fleet) config(r system.Replica) any {
	switch cfg := f.cfg; r.Component {
	case system.Broker:
		return embedded.BrokerConfig{Replica: r.Name, Listen: r.Addr, Admin: r.Admin, Dir: f.dataDir(r)}
	case system.Cache:
		return embedded.CacheConfig{Replica: r.Name, Listen: r.Addr, Admin: r.Admin, Dir: f.dataDir(r)}
	case system.Order:
		return order.Config{
			Replica: r.Name, Listen: r.Addr, Admin: r.Admin,
			Brokers:    f.Brokers(),
			Database:   f.databasePath(r.Component),
			Partitions: cfg.Scaling.Partitions,
			Outbox:     cfg.Patterns.Outbox,
			Inbox:      cfg.Patterns.Inbox,
			StuckAfter: cfg.Order.StuckAfter,
			Grace:      serviceGrace,
			Tracing:    f.tracing(),
		}
	case system.Inventory:
		return inventory.Config{
			Replica: r.Name, Listen: r.Addr, Admin: r.Admin,
			Brokers:    f.Brokers(),
			Database:   f.databasePath(r.Component),
			Partitions: cfg.Scaling.Partitions,
			Work:       cfg.Inventory.Work,
			Inbox:      cfg.Patterns.Inbox,
			SKUs:       cfg.Inventory.SKUs,
			Stock:      cfg.Inventory.Stock,
			Grace:      serviceGrace,
			Tracing:    f.tracing(),
		}
	case system.Payment:
		return payment.Config{
			Replica: r.Name, Listen: r.Addr, Admin: r.Admin,
			Brokers:    f.Brokers(),
			Database:   f.databasePath(r.Component),
			Partitions: cfg.Scaling.Partitions,
			Inbox:      cfg.Patterns.Inbox,
			Provider: payment.ProviderConfig{
				Seed:    cfg.Payment.Seed,
				Work:    cfg.Payment.Work,
				Decline: cfg.Payment.Decline,
				Timeout: cfg.Payment.Timeout,
			},
			Grace: serviceGrace,
		}
	case system.Notification:
		return notification.Config{
			Replica: r.Name, Listen: r.Addr, Admin: r.Admin,
			Brokers:    f.Brokers(),
			Database:   f.databasePath(r.Component),
			Partitions: cfg.Scaling.Partitions,
			Inbox:      cfg.Patterns.Inbox,
			Grace:      serviceGrace,
			Tracing:    f.tracing(),
		}
	case system.Gateway:
		return gateway.Config{
			Replica: r.Name, Listen: r.Addr, Admin: r.Admin,
			Orders:      f.addrs(system.Order),
			Inventories: f.addrs(system.Inventory),
			Cache:       f.addrs(system.Cache)[0],
			RateLimit:   gateway.RateLimit{Requests: cfg.Gateway.RateLimit.Requests, Per: cfg.Gateway.RateLimit.Per},
			Breaker: resilience.BreakerConfig{
				Enabled:  cfg.Patterns.Breaker,
				Failures: cfg.Gateway.Breaker.Failures,
				OpenFor:  cfg.Gateway.Breaker.OpenFor,
			},
			Timeout:        cfg.Gateway.Timeout,
			TrustedProxies: proxies,
			Grace:          serviceGrace,
			Tracing:        f.tracing(),
		}
	}
	panic("local: no configuration for " + r.Name)
}

// tracing is where the spans of every service go.
func (f *fleet) tracing() telemetry.Tracing {
	if !f.cfg.Patterns.Tracing || f.cfg.Tracing.Endpoint == "" {
		return telemetry.Tracing{}
	}
	return telemetry.Tracing{Endpoint: f.cfg.Tracing.Endpoint, Sample: f.cfg.Tracing.Sample, Spool: f.spoolDir()}
}

// spoolDir is where spans wait, whoever made them: what a killed process left
// there is sent by the next that starts.
func (f *fleet) spoolDir() string { return filepath.Join(f.cfg.Dir, "spans") }

// dataDir is where a replica keeps its data: a directory of its own for the
// infrastructure, that of the databases for services.
func (f *fleet) dataDir(r system.Replica) string {
	dir := filepath.Join(f.cfg.Dir, "data")
	if r.Component == system.Broker || r.Component == system.Cache {
		return filepath.Join(dir, r.Name)
	}
	return dir
}

// databasePath is the database file of a service, shared by its replicas.
func (f *fleet) databasePath(c system.Component) string {
	return filepath.Join(f.cfg.Dir, "data", string(c)+".db")
}

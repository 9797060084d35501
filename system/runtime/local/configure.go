package local

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/ordbench/ordbench/system"
	"github.com/ordbench/ordbench/system/runtime/briefing"
	"github.com/ordbench/ordbench/system/runtime/embedded"
)

// proxies may say who a client is: whatever speaks from this machine's usual
// address. Its other loopback addresses are strangers.
var proxies = []string{"127.0.0.1/32", "::1/128"}

// configure writes the configuration of every replica.
func (f *fleet) configure() error {
	for _, r := range f.replicas {
		if err := os.MkdirAll(f.dataDir(r), 0o755); err != nil {
			return fmt.Errorf("configure %s: %w", r.Name, err)
		}
		config, err := f.config(r)
		if err != nil {
			return fmt.Errorf("configure %s: %w", r.Name, err)
		}
		text, err := json.MarshalIndent(config, "", "  ")
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
func (f *fleet) config(r system.Replica) (any, error) {
	switch r.Component {
	case system.Broker:
		return embedded.BrokerConfig{Replica: r.Name, Listen: r.Addr, Admin: r.Admin, Dir: f.dataDir(r)}, nil
	case system.Cache:
		return embedded.CacheConfig{Replica: r.Name, Listen: r.Addr, Admin: r.Admin, Dir: f.dataDir(r)}, nil
	default:
		way := &way{from: r.Component, through: f.cfg.Through}
		config := briefing.Of(f.cfg, r, briefing.Site{
			Brokers:        way.toBrokers(f.Brokers()),
			Cache:          way.to(system.Cache, f.addrs(system.Cache))[0],
			Orders:         way.to(system.Order, f.addrs(system.Order)),
			Inventories:    way.to(system.Inventory, f.addrs(system.Inventory)),
			Payments:       way.to(system.Payment, f.addrs(system.Payment)),
			Notifications:  way.to(system.Notification, f.addrs(system.Notification)),
			Database:       f.databasePath,
			Collector:      f.cfg.Tracing.Endpoint,
			Spool:          f.cfg.SpoolDir(),
			Keys:           system.KeySetPath(f.cfg.Dir),
			Identity:       func(replica string) string { return system.IdentityPath(f.cfg.Dir, replica) },
			Audit:          system.AuditPath(f.cfg.LogDir),
			TrustedProxies: proxies,
		})
		return config, way.err
	}
}

// dataDir is where a replica keeps its data: a directory of its own for the
// infrastructure, that of the databases for services.
func (f *fleet) dataDir(r system.Replica) string {
	dir := filepath.Join(f.cfg.Dir, "data")
	if r.Component == system.Broker || r.Component == system.Cache {
		return filepath.Join(dir, r.Name)
	}
	return dir
}

// databasePath is the database of a service, a file or on a server, shared by
// its replicas.
func (f *fleet) databasePath(c system.Component) string {
	if f.server != nil {
		return f.server.database(c)
	}
	return filepath.Join(f.cfg.Dir, "data", string(c)+".db")
}

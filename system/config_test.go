package system_test

import (
	"slices"
	"testing"

	"github.com/ordbench/ordbench/system"
)

func TestAwaited(t *testing.T) {
	front := []system.Component{system.Cache, system.Database, system.Order, system.Gateway}
	for _, c := range []struct {
		name   string
		change func(*system.Config)
		also   []system.Component
	}{
		{"by default", func(*system.Config) {}, nil},
		{"without an outbox an order is published before it is answered", func(c *system.Config) { c.Patterns.Outbox = false }, []system.Component{system.Broker}},
		{"coupled by calls", func(c *system.Config) { c.Coupling = system.CouplingSync }, []system.Component{system.Inventory, system.Payment, system.Notification}},
		{"two-phase commit", func(c *system.Config) { c.Consistency = system.Consistency2PC }, []system.Component{system.Inventory, system.Payment, system.Notification}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := system.DefaultConfig()
			c.change(&cfg)
			want := append(slices.Clone(front), c.also...)
			for _, component := range system.Components() {
				if got := cfg.Awaited(component); got != slices.Contains(want, component) {
					t.Errorf("%s: %v", component, got)
				}
			}
		})
	}
}

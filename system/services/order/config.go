package order

import (
	"time"

	"github.com/ordbench/ordbench/system/bus"
	"github.com/ordbench/ordbench/system/lifecycle"
	"github.com/ordbench/ordbench/system/pki"
	"github.com/ordbench/ordbench/system/telemetry"
)

// Config says how one replica of the order service runs.
type Config struct {
	Replica     string            `json:"replica"`      // "order-0"
	Listen      string            `json:"listen"`       // host:port of the API
	Admin       string            `json:"admin"`        // host:port of health, readiness and metrics
	Brokers     []string          `json:"brokers"`      // host:port each
	Database    string            `json:"database"`     // file, shared by all replicas
	Partitions  int               `json:"partitions"`   // of each topic
	Outbox      bool              `json:"outbox"`       // off: events are sent after the commit, from memory
	Inbox       bool              `json:"inbox"`        // off: only the status machine stops a repeated event
	Idempotency bool              `json:"idempotency"`  // off: a request that is repeated makes another order
	StuckAfter  time.Duration     `json:"stuck_after"`  // nanoseconds until an order that waits is parked; 0: never
	DeadLetters bool              `json:"dead_letters"` // off: a message that fails holds up its partition
	Backoff     bool              `json:"backoff"`      // off: what fails is tried again without a pause
	Grace       time.Duration     `json:"grace"`        // nanoseconds for an orderly end
	Tracing     telemetry.Tracing `json:"tracing"`
	Guard       pki.GuardConfig   `json:"guard"`
	// Partners, if they are named, are called in line before an order is
	// answered; events then go to no topic.
	Partners *Partners `json:"partners,omitempty"`
}

// Validate returns every problem of c, joined.
func (c Config) Validate() error {
	var problems lifecycle.Problems
	problems.Need(c.Replica != "", "replica is missing")
	problems.Address("listen", c.Listen)
	problems.Address("admin", c.Admin)
	problems.Need(len(c.Brokers) > 0, "brokers are missing")
	problems.Address("broker", bus.Advertised(c.Brokers)...)
	problems.Need(c.Database != "", "database is missing")
	problems.Need(c.Partitions > 0, "partitions is not positive: %d", c.Partitions)
	problems.Need(c.StuckAfter >= 0, "stuck_after is negative: %s", c.StuckAfter)
	if p := c.Partners; p != nil {
		for name, addrs := range map[string][]string{"inventories": p.Inventories, "payments": p.Payments, "notifications": p.Notifications} {
			problems.Need(len(addrs) > 0, "partners.%s are missing", name)
			problems.Address("partners."+name, addrs...)
		}
		problems.Need(p.Timeout > 0, "partners.timeout is not positive: %s", p.Timeout)
	}
	problems.Need(c.Grace > 0, "grace is not positive: %s", c.Grace)
	problems = append(problems, c.Tracing.Validate()) // nil does not count
	return problems.Err()
}

// Partners are the services that the order service calls, host:port each.
type Partners struct {
	Inventories   []string      `json:"inventories"`
	Payments      []string      `json:"payments"`
	Notifications []string      `json:"notifications"`
	Timeout       time.Duration `json:"timeout"` // nanoseconds for one call
	// TwoPhase: inventory and payment promise, and are told after that.
	TwoPhase bool `json:"two_phase"`
}

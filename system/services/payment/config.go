package payment

import (
	"time"

	"github.com/ordbench/ordbench/system/bus"
	"github.com/ordbench/ordbench/system/lifecycle"
	"github.com/ordbench/ordbench/system/pki"
	"github.com/ordbench/ordbench/system/telemetry"
)

// Config says how one replica of the payment service runs.
type Config struct {
	Replica     string            `json:"replica"`     // "payment-0"
	Listen      string            `json:"listen"`      // host:port of the API
	Admin       string            `json:"admin"`       // host:port of health, readiness and metrics
	Brokers     []string          `json:"brokers"`     // host:port each
	Database    string            `json:"database"`    // file, shared by all replicas
	Partitions  int               `json:"partitions"`  // of each topic
	Concurrency int               `json:"concurrency"` // batches worked on at a time, none two with the same order; 0: one
	Inbox       bool              `json:"inbox"`       // off: a redelivered order is charged again
	Provider    ProviderConfig    `json:"provider"`
	DeadLetters bool              `json:"dead_letters"` // off: a message that fails holds up its partition
	Backoff     bool              `json:"backoff"`      // off: what fails is tried again without a pause
	TwoPhase    bool              `json:"two_phase"`    // orders are prepared and then committed by HTTP; only on PostgreSQL
	Direct      bool              `json:"direct"`       // events come by HTTP, and are answered there
	Grace       time.Duration     `json:"grace"`        // nanoseconds for an orderly end
	Tracing     telemetry.Tracing `json:"tracing"`
	Guard       pki.GuardConfig   `json:"guard"`
}

// ProviderConfig says how the simulated provider behaves.
type ProviderConfig struct {
	Seed    int64         `json:"seed"`    // of its moods
	Work    time.Duration `json:"work"`    // nanoseconds that it takes for one charge, on average
	Decline float64       `json:"decline"` // share of the charges that it refuses, 0 to 1
	Timeout float64       `json:"timeout"` // share of the charges that it does not answer in time, 0 to 1
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
	problems.Need(c.Provider.Work >= 0, "work is negative: %s", c.Provider.Work)
	problems.Need(c.Provider.Decline >= 0 && c.Provider.Decline <= 1, "decline is no share: %g", c.Provider.Decline)
	problems.Need(c.Provider.Timeout >= 0 && c.Provider.Timeout <= 1, "timeout is no share: %g", c.Provider.Timeout)
	problems.Need(c.Concurrency >= 0, "concurrency is negative: %d", c.Concurrency)
	problems.Need(c.Grace > 0, "grace is not positive: %s", c.Grace)
	problems = append(problems, c.Tracing.Validate()) // nil does not count
	return problems.Err()
}

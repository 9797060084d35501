package system

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"time"
)

// Config says what a stack consists of. Start from DefaultConfig.
type Config struct {
	Gateway      GatewayConfig
	Order        OrderConfig
	Inventory    InventoryConfig
	Payment      PaymentConfig
	Notification NotificationConfig
	Scaling      ScalingConfig
	Coupling     string // CouplingAsync or CouplingSync
	Consistency  string // ConsistencySaga or Consistency2PC
	Patterns     PatternsConfig
	Tracing      TracingConfig
	Broker       BrokerConfig
	Database     DatabaseConfig
	Images       ImagesConfig

	// Dir holds state and data. "" takes a temporary directory, which is
	// removed when the stack is closed.
	Dir string
	// CertificateLife is how long a component's certificate lasts; it is
	// renewed after a third of that. 0 takes pki.CertificateLife.
	CertificateLife time.Duration
	// Through is the address under which a component reaches another that
	// listens on addr, where something stands between them. nil: they reach
	// each other directly.
	Through func(from, to Component, addr string) (string, error)
	// Links are the connections, "gateway->order", that a runtime puts a proxy
	// into by itself where its replicas can't come by way of this process. It
	// then is Detoured, and does not ask Through.
	Links []string

	// LogDir holds a log per replica; "" takes Dir/logs.
	LogDir string
}

// GatewayConfig is the way in.
type GatewayConfig struct {
	Replicas  int
	Addr      string // host:port of all gateway replicas; "" takes a free loopback port
	RateLimit RateLimitConfig
	Breaker   BreakerConfig
	Timeout   time.Duration // of one request to a service, over all tries
	Places    int           // requests to one service at a time; what comes beyond waits or is shed
	Tries     int           // of a request that was certainly not processed, and of a read
}

// RateLimitConfig is what one client may ask for.
type RateLimitConfig struct {
	Requests int // 0: no limit
	Per      time.Duration
}

// BreakerConfig is when a breaker opens, and for how long.
type BreakerConfig struct {
	Failures int // in a row
	OpenFor  time.Duration
}

// OrderConfig is the order service.
type OrderConfig struct {
	Replicas   int
	StuckAfter time.Duration // an order that waits for longer is parked; 0: never
}

// InventoryConfig is the inventory service and its stock.
type InventoryConfig struct {
	MinReplicas int
	MaxReplicas int
	Work        time.Duration // what one order costs a replica
	Concurrency int           // batches that a replica works on at a time, none two with the same order
	SKUs        int
	Stock       int64 // units of each SKU
}

// PaymentConfig is the payment service and the provider that it simulates.
type PaymentConfig struct {
	Replicas int
	Decline  float64       // share of the charges that the provider refuses, 0 to 1
	Timeout  float64       // share of the charges that it does not answer in time, 0 to 1
	Work     time.Duration // what it takes for one charge, on average

	Concurrency int   // batches that a replica works on at a time, none two with the same order
	Seed        int64 // of its moods
}

// NotificationConfig is the notification service.
type NotificationConfig struct {
	Replicas    int
	Concurrency int // batches that a replica works on at a time, none two with the same order
}

// ScalingConfig is how the inventory follows its load.
type ScalingConfig struct {
	By                  string // ScaleByLag or ScaleByNone
	LagThreshold        int64  // messages that one replica may be behind
	Partitions          int    // of each topic: the most consumers that can work
	PollingInterval     time.Duration
	StabilizationWindow time.Duration // how long a wish for more replicas holds
}

// What the inventory scales by.
const (
	ScaleByLag  = "lag"
	ScaleByNone = "none"
)

// How the services are coupled.
const (
	CouplingAsync = "async" // by events, and an order is answered before it is worked off
	CouplingSync  = "sync"  // by calls, and an order is answered when it has come to its end
)

// How the parts of an order come to agree.
const (
	ConsistencySaga = "saga" // each service does its part, and undoes it if a later one fails
	Consistency2PC  = "2pc"  // all promise their parts before any is done; by calls, whatever the coupling
)

// Inline says that the order service calls the others itself, and that an
// order is answered when it has come to its end: there are no events.
func (c Config) Inline() bool { return c.Coupling == CouplingSync || c.Consistency == Consistency2PC }

// Awaited tells whether a client waits for what component does.
func (c Config) Awaited(component Component) bool {
	switch component {
	case Broker:
		return !c.Patterns.Outbox
	case Inventory, Payment, Notification:
		return c.Inline()
	}
	return true
}

// PatternsConfig switches each pattern, so that its worth can be measured.
type PatternsConfig struct {
	Outbox      bool
	Inbox       bool
	Idempotency bool // off: a request that is repeated under its key makes another order
	Breaker     bool
	Auth        bool // off: nobody is asked who he is, and everybody may order for everybody
	MTLS        bool // off: services believe whoever reaches them
	RateLimit   bool
	Shedding    bool // off: what finds no place is refused at once, whatever it is
	Bulkhead    bool // off: all services share their places
	Backoff     bool // off: what failed is tried again at once
	RetryBudget bool // off: as often as there are tries, whatever that adds up to
	Tracing     bool
	DeadLetters bool // off: a message that fails holds up its partition, one that cannot be read is left behind
}

// TracingConfig is where spans go, while the pattern is on.
type TracingConfig struct {
	Endpoint string  // URL of an OTLP collector, http://host:port; "": there are no spans
	Sample   float64 // share of the requests that are traced, 0 to 1
}

// BrokerConfig is the broker of the system.
type BrokerConfig struct {
	// Replicas is 1, or 3 for a cluster whose leader can be killed: every
	// topic is kept three times, and two of them acknowledge. Only where the
	// runtime has real brokers.
	Replicas int
	// VolumeSize bounds the volume of each broker, in bytes; see
	// Config.VolumeSize.
	VolumeSize int64
}

// DatabaseConfig is where services keep their books, on a runtime that leaves
// the choice.
type DatabaseConfig struct {
	// URL is that of a PostgreSQL server, postgres://..., on which the stack
	// makes a database for each service, and from which it removes them. ""
	// takes a file for each. It has no password in it: that is for PGPASSWORD
	// or a password file.
	URL string
	// VolumeSize bounds the volume of the server, in bytes; see
	// Config.VolumeSize.
	VolumeSize int64
}

// ImagesConfig names the images of a runtime of containers; "" is that
// runtime's own choice.
type ImagesConfig struct {
	Kafka      string
	Redis      string
	PostgreSQL string
	// Collector is one that takes OTLP over HTTP on port 4318, such as Jaeger or
	// the collector of OpenTelemetry; "": there is none in the stack.
	Collector string
	Mirror    string // prefix of a registry that has them: "registry.example:5000/mirror"
}

// DefaultConfig is the system of the scenario library: one replica of each
// service, inventory scaled by lag from 1 to 20, all patterns on.
func DefaultConfig() Config {
	return Config{
		Gateway: GatewayConfig{
			Replicas:  1,
			RateLimit: RateLimitConfig{Requests: 100, Per: time.Minute},
			Breaker:   BreakerConfig{Failures: 5, OpenFor: 30 * time.Second},
			Timeout:   2 * time.Second,
			Places:    128,
			Tries:     3,
		},
		Order: OrderConfig{Replicas: 1, StuckAfter: time.Minute},
		Inventory: InventoryConfig{
			MinReplicas: 1,
			MaxReplicas: 20,
			Work:        5 * time.Millisecond,
			Concurrency: 1,
			SKUs:        1000,
			Stock:       1_000_000,
		},
		Payment:      PaymentConfig{Replicas: 1, Work: 2 * time.Millisecond, Seed: 1, Concurrency: 1},
		Notification: NotificationConfig{Replicas: 1, Concurrency: 1},
		Scaling: ScalingConfig{
			By:                  ScaleByLag,
			LagThreshold:        100,
			Partitions:          40,
			PollingInterval:     time.Second,
			StabilizationWindow: 30 * time.Second,
		},
		Coupling: CouplingAsync, Consistency: ConsistencySaga,
		Patterns: PatternsConfig{Outbox: true, Inbox: true, Idempotency: true, Breaker: true, Tracing: true, Auth: true, MTLS: true, RateLimit: true, Shedding: true, Bulkhead: true, Backoff: true, RetryBudget: true, DeadLetters: true},
		Tracing:  TracingConfig{Sample: 1},
		Broker:   BrokerConfig{Replicas: 1},
	}
}

// MaxConcurrency bounds how many batches one replica works on at a time.
const MaxConcurrency = 64

// maxReplicas bounds the replicas of any component on one machine.
const maxReplicas = 100

// Validate returns every problem of c, joined.
func (c Config) Validate() error {
	var problems []error
	need := func(ok bool, format string, args ...any) {
		if !ok {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	count := func(name string, n, least int) {
		need(n >= least && n <= maxReplicas, "%s must be %d to %d, not %d", name, least, maxReplicas, n)
	}
	count("gateway replicas", c.Gateway.Replicas, 1)
	if c.Gateway.Addr != "" {
		_, _, err := net.SplitHostPort(c.Gateway.Addr)
		need(err == nil, "gateway address %q is not host:port", c.Gateway.Addr)
	}
	need(c.Gateway.RateLimit.Requests >= 0, "rate limit must not be negative: %d", c.Gateway.RateLimit.Requests)
	need(c.Gateway.RateLimit.Requests == 0 || c.Gateway.RateLimit.Per > 0, "rate limit needs a positive period, not %s", c.Gateway.RateLimit.Per)
	need(!c.Patterns.Breaker || c.Gateway.Breaker.Failures > 0, "breaker failures must be positive, not %d", c.Gateway.Breaker.Failures)
	need(!c.Patterns.Breaker || c.Gateway.Breaker.OpenFor > 0, "breaker must open for a positive time, not %s", c.Gateway.Breaker.OpenFor)
	need(c.Gateway.Timeout > 0, "gateway timeout must be positive, not %s", c.Gateway.Timeout)
	need(c.Gateway.Places > 0, "gateway places must be positive, not %d", c.Gateway.Places)
	need(c.Gateway.Tries > 0, "gateway tries must be positive, not %d", c.Gateway.Tries)
	count("order replicas", c.Order.Replicas, 1)
	need(c.Order.StuckAfter >= 0, "order stuck-after must not be negative: %s", c.Order.StuckAfter)
	count("inventory replicas (min)", c.Inventory.MinReplicas, 1)
	count("inventory replicas (max)", c.Inventory.MaxReplicas, 1)
	need(c.Inventory.MinReplicas <= c.Inventory.MaxReplicas, "inventory replicas: min %d is above max %d", c.Inventory.MinReplicas, c.Inventory.MaxReplicas)
	need(c.Inventory.Work >= 0, "inventory work must not be negative: %s", c.Inventory.Work)
	need(c.Inventory.SKUs > 0, "inventory SKUs must be positive, not %d", c.Inventory.SKUs)
	need(c.Inventory.Stock >= 0, "inventory stock must not be negative: %d", c.Inventory.Stock)
	concurrency := func(name string, n int) {
		need(n >= 1 && n <= MaxConcurrency, "%s concurrency must be 1 to %d, not %d", name, MaxConcurrency, n)
	}
	concurrency("inventory", c.Inventory.Concurrency)
	concurrency("payment", c.Payment.Concurrency)
	concurrency("notification", c.Notification.Concurrency)
	count("payment replicas", c.Payment.Replicas, 1)
	need(c.Payment.Decline >= 0 && c.Payment.Decline <= 1, "payment decline must be a share of 0 to 1, not %g", c.Payment.Decline)
	need(c.Payment.Timeout >= 0 && c.Payment.Timeout <= 1, "payment timeout must be a share of 0 to 1, not %g", c.Payment.Timeout)
	need(c.Payment.Work >= 0, "payment work must not be negative: %s", c.Payment.Work)
	count("notification replicas", c.Notification.Replicas, 1)
	need(c.Tracing.Sample >= 0 && c.Tracing.Sample <= 1, "tracing sample must be a share of 0 to 1, not %g", c.Tracing.Sample)
	need(c.Broker.Replicas == 1 || c.Broker.Replicas == 3, "broker replicas must be 1 or 3, not %d", c.Broker.Replicas)
	volume := func(name string, bytes, least int64) {
		need(bytes == 0 || bytes >= least && bytes <= MostVolume, "%s volume must have %d to %d bytes, not %d", name, least, int64(MostVolume), bytes)
	}
	volume("broker", c.Broker.VolumeSize, LeastBrokerVolume)
	volume("database", c.Database.VolumeSize, LeastDatabaseVolume)
	need(c.Scaling.Partitions > 0, "partitions must be positive, not %d", c.Scaling.Partitions)
	switch c.Scaling.By {
	case ScaleByNone:
	case ScaleByLag:
		need(c.Scaling.LagThreshold > 0, "lag threshold must be positive, not %d", c.Scaling.LagThreshold)
		need(c.Scaling.PollingInterval > 0, "polling interval must be positive, not %s", c.Scaling.PollingInterval)
		need(c.Scaling.StabilizationWindow >= 0, "stabilization window must not be negative: %s", c.Scaling.StabilizationWindow)
	default:
		need(false, "scaling by %q is unknown: lag or none", c.Scaling.By)
	}
	need(c.Coupling == CouplingAsync || c.Coupling == CouplingSync, "coupling %q is unknown: async or sync", c.Coupling)
	need(c.Consistency == ConsistencySaga || c.Consistency == Consistency2PC, "consistency %q is unknown: saga or 2pc", c.Consistency)
	return errors.Join(problems...)
}

// The least that a bounded volume holds, in bytes: what a server keeps before
// its first order, and room to work.
const (
	LeastBrokerVolume   = 64 << 20
	LeastDatabaseVolume = 256 << 20
	MostVolume          = 1 << 40
)

// VolumeSize is how many bytes the volume of a replica of comp holds; 0: as
// many as the machine has. A bounded volume is kept in memory, where the
// runtime has volumes of its own, and can be filled.
func (c Config) VolumeSize(comp Component) int64 {
	switch comp {
	case Broker:
		return c.Broker.VolumeSize
	case Database:
		return c.Database.VolumeSize
	}
	return 0
}

// Slots is how many replicas of comp the stack has room for.
func (c Config) Slots(comp Component) int {
	switch comp {
	case Gateway:
		return c.Gateway.Replicas
	case Order:
		return c.Order.Replicas
	case Inventory:
		return c.Inventory.MaxReplicas
	case Payment:
		return c.Payment.Replicas
	case Notification:
		return c.Notification.Replicas
	case Broker:
		return c.Broker.Replicas
	case Cache, Database:
		return 1
	}
	return 0
}

// SpoolDir is where the spans of the stack wait, on this machine, until they
// are sent.
func (c Config) SpoolDir() string { return filepath.Join(c.Dir, "spans") }

// initial is how many replicas of comp the stack boots with.
func (c Config) initial(comp Component) int {
	if comp == Inventory {
		return c.Inventory.MinReplicas
	}
	return c.Slots(comp)
}

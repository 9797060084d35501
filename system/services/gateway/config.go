package gateway

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/ordbench/ordbench/system/lifecycle"
	"github.com/ordbench/ordbench/system/pki"
	"github.com/ordbench/ordbench/system/resilience"
	"github.com/ordbench/ordbench/system/telemetry"
)

// RateLimit is the share of each client; Requests 0 is no limit.
type RateLimit = resilience.Limit

// Config says how one replica of the gateway runs. Durations are nanoseconds
// in JSON.
type Config struct {
	Replica        string                   `json:"replica"`         // "gateway-0"
	Listen         string                   `json:"listen"`          // host:port of the API
	Admin          string                   `json:"admin"`           // host:port of health, readiness, metrics and breakers
	Orders         []string                 `json:"orders"`          // host:port of each order replica
	Inventories    []string                 `json:"inventories"`     // host:port of each inventory replica
	Cache          string                   `json:"cache"`           // host:port; needed only for the rate limit
	RateLimit      RateLimit                `json:"rate_limit"`      // per client, over all gateways
	Breaker        resilience.BreakerConfig `json:"breaker"`         // of each dependency by itself
	Pool           resilience.PoolConfig    `json:"pool"`            // of each dependency by itself
	OnePool        bool                     `json:"one_pool"`        // without bulkheads: one pool for all dependencies
	Retry          resilience.RetryConfig   `json:"retry"`           // of what certainly was not processed, and of reads
	Timeout        time.Duration            `json:"timeout"`         // of one request to a dependency over all tries, such as 2 s
	TrustedProxies []string                 `json:"trusted_proxies"` // CIDRs whose X-Forwarded-For is believed
	Grace          time.Duration            `json:"grace"`           // for an orderly end
	Tracing        telemetry.Tracing        `json:"tracing"`
	Bearer         pki.BearerConfig         `json:"bearer"`   // without keys, nobody is asked who he is
	Identity       string                   `json:"identity"` // file with its credentials; "": services are called without TLS
	Audit          string                   `json:"audit"`    // file that refusals are appended to; "": none
}

// Validate returns every problem of c, joined.
func (c Config) Validate() error {
	var problems lifecycle.Problems
	problems.Need(c.Replica != "", "replica is missing")
	problems.Address("listen", c.Listen)
	problems.Address("admin", c.Admin)
	problems.Need(len(c.Orders) > 0, "orders are missing")
	problems.Address("order", c.Orders...)
	problems.Need(len(c.Inventories) > 0, "inventories are missing")
	problems.Address("inventory", c.Inventories...)
	if c.RateLimit.Requests > 0 {
		problems.Address("cache", c.Cache)
	}
	problems = append(problems, c.RateLimit.Validate(), c.Breaker.Validate(), c.Pool.Validate(), c.Retry.Validate(), c.Tracing.Validate()) // nil does not count
	problems.Need(c.Timeout > 0, "timeout is not positive: %s", c.Timeout)
	problems.Need(c.Bearer.Keys == "" || c.Bearer.Issuer != "", "bearer issuer is missing")
	problems.Need(c.Bearer.Keys == "" || c.Bearer.Audience != "", "bearer audience is missing")
	problems.Need(c.Grace > 0, "grace is not positive: %s", c.Grace)
	_, err := parsePrefixes(c.TrustedProxies)
	problems = append(problems, err)
	return problems.Err()
}

// parsePrefixes reads CIDRs; its error names each that is none.
func parsePrefixes(cidrs []string) ([]netip.Prefix, error) {
	var problems []error
	var prefixes []netip.Prefix
	for _, s := range cidrs {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			problems = append(problems, fmt.Errorf("trusted proxy %q is not a CIDR such as 10.0.0.0/8", s))
			continue
		}
		prefixes = append(prefixes, p.Masked())
	}
	return prefixes, errors.Join(problems...)
}

package inventory

import (
	"errors"
	"fmt"
	"net"
	"time"
)

// Config says how one replica of the inventory service runs.
type Config struct {
	Replica    string        `json:"replica"`    // "inventory-0"
	Listen     string        `json:"listen"`     // host:port of the API
	Admin      string        `json:"admin"`      // host:port of health, readiness and metrics
	Brokers    []string      `json:"brokers"`    // host:port each
	Database   string        `json:"database"`   // file, shared by all replicas
	Partitions int           `json:"partitions"` // of each topic
	Work       time.Duration `json:"work"`       // nanoseconds that one order costs, beside the database
	Inbox      bool          `json:"inbox"`      // off: a redelivered order takes its stock again
	SKUs       int           `json:"skus"`       // articles in stock, "sku-0001" onwards
	Stock      int64         `json:"stock"`      // units of each, at the first start only
	Grace      time.Duration `json:"grace"`      // nanoseconds for an orderly end
}

// Validate returns every problem of c, joined.
func (c Config) Validate() error {
	var problems []error
	need := func(ok bool, format string, args ...any) {
		if !ok {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	address := func(name, addr string) {
		_, _, err := net.SplitHostPort(addr)
		need(err == nil, "%s %q is not host:port", name, addr)
	}
	need(c.Replica != "", "replica is missing")
	address("listen", c.Listen)
	address("admin", c.Admin)
	need(len(c.Brokers) > 0, "brokers are missing")
	for _, b := range c.Brokers {
		address("broker", b)
	}
	need(c.Database != "", "database is missing")
	need(c.Partitions > 0, "partitions is not positive: %d", c.Partitions)
	need(c.Work >= 0, "work is negative: %s", c.Work)
	need(c.SKUs > 0, "skus is not positive: %d", c.SKUs)
	need(c.Stock >= 0, "stock is negative: %d", c.Stock)
	need(c.Grace > 0, "grace is not positive: %s", c.Grace)
	return errors.Join(problems...)
}

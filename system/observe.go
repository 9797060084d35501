package system

import (
	"context"
	"time"

	"github.com/ordbench/ordbench/system/bus"
)

// Sample is the stack at one moment of a run.
type Sample struct {
	At        time.Time
	Ready     map[Component]int
	Desired   map[Component]int
	Processes map[string]ProcessSample // by replica; those without a process are absent
	Lag       []bus.Lag                // inventory-group, then order-group
	LagKnown  bool                     // false: the broker did not tell within a second
	LagAt     time.Time                // when Lag was read
	Breakers  []BreakerSample          // of the gateways that answered
}

// ProcessSample is what one process uses.
type ProcessSample struct {
	PID      int
	CPUCores float64 // mean since the sample before
	RSSBytes int64
}

// BreakerSample is one circuit breaker of one replica. A replica that starts
// again starts with an empty history.
type BreakerSample struct {
	Replica     string              `json:"replica"`
	Name        string              `json:"name"` // "gateway->order"
	State       string              `json:"state"`
	Trips       int                 `json:"trips"`
	Transitions []BreakerTransition `json:"transitions"`
}

// BreakerTransition is one change of a breaker's state.
type BreakerTransition struct {
	At   time.Time `json:"at"`
	From string    `json:"from"`
	To   string    `json:"to"`
}

// Observe hands fn a sample every interval until ctx ends.
func (s *Stack) Observe(ctx context.Context, interval time.Duration, fn func(Sample)) {}

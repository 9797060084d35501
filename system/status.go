package system

import (
	"context"

	"github.com/ordbench/ordbench/system/bus"
)

// State is what a replica is doing.
type State string

// The states of a replica.
const (
	Starting State = "starting" // runs, not ready
	Ready    State = "ready"
	Paused   State = "paused"   // stands still
	Held     State = "held"     // was killed and is held down
	Down     State = "down"     // ended, to be started again
	Stopping State = "stopping" // asked to end
)

// Status is the stack at one moment.
type Status struct {
	URL        string            `json:"url"`
	Runtime    string            `json:"runtime"`
	Dir        string            `json:"dir"`
	UptimeMS   int64             `json:"uptime_ms"`
	Components []ComponentStatus `json:"components"` // in boot order
	Lag        []bus.Lag         `json:"lag"`
	LagError   string            `json:"lag_error,omitempty"` // why Lag is not known
	Breakers   []BreakerSample   `json:"breakers"`
}

// ComponentStatus is one component and its replicas.
type ComponentStatus struct {
	Name     Component       `json:"name"`
	Desired  int             `json:"desired"`
	Ready    int             `json:"ready"`
	Replicas []ReplicaStatus `json:"replicas"`
}

// ReplicaStatus is one replica that is wanted or still runs.
type ReplicaStatus struct {
	Name      string    `json:"name"`
	Component Component `json:"component"`
	State     State     `json:"state"`
	PID       int       `json:"pid"` // 0: no process
	Addr      string    `json:"addr"`
	Admin     string    `json:"admin"`
	Restarts  int       `json:"restarts"`
	UptimeMS  int64     `json:"uptime_ms"` // of the process
	CPUCores  float64   `json:"cpu_cores"` // mean since its start
	RSSBytes  int64     `json:"rss_bytes"`
	Detail    string    `json:"detail,omitempty"` // why it is not ready
}

// Status looks at the stack now.
func (s *Stack) Status(ctx context.Context) Status { return Status{} }

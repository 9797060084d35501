package system

import (
	"context"
	"sync"
	"time"

	"github.com/ordbench/ordbench/system/bus"
)

// State is what a replica is doing.
type State string

// The states of a replica.
const (
	Starting State = "starting" // runs, was never ready
	Ready    State = "ready"
	Unready  State = "unready"  // runs, was ready, and does not say so now
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
	LogDir     string            `json:"log_dir"`
	UptimeMS   int64             `json:"uptime_ms"`  // since it was ready
	Components []ComponentStatus `json:"components"` // in boot order
	Lag        []bus.Lag         `json:"lag"`
	LagError   string            `json:"lag_error,omitempty"` // why Lag is not known
	Breakers   []BreakerSample   `json:"breakers"`
	Collector  *Collector        `json:"collector,omitempty"` // of traces, where one stands in the stack
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

// Status looks at the stack now. What can't be asked within a second is
// left out.
func (s *Stack) Status(ctx context.Context) Status {
	status := Status{
		URL:        s.URL(),
		Runtime:    s.Runtime(),
		Dir:        s.cfg.Dir,
		LogDir:     s.cfg.LogDir,
		UptimeMS:   time.Since(s.bootedAt).Milliseconds(),
		Components: []ComponentStatus{},
		Lag:        []bus.Lag{},
		Collector:  s.Collector(),
	}
	var asked sync.WaitGroup
	asked.Go(func() {
		lag, err := s.readLags(ctx, consumers)
		if err != nil {
			status.LagError = err.Error()
			return
		}
		status.Lag = lag
	})
	asked.Go(func() { status.Breakers = s.readBreakers(ctx) })
	for _, c := range Components() {
		if len(s.of(c)) == 0 {
			continue
		}
		cs := ComponentStatus{Name: c, Desired: s.want(c), Replicas: []ReplicaStatus{}}
		for _, st := range s.of(c) {
			rs, there := st.status()
			if !there {
				continue
			}
			if rs.State == Ready {
				cs.Ready++
			}
			cs.Replicas = append(cs.Replicas, rs)
		}
		status.Components = append(status.Components, cs)
	}
	asked.Wait()
	return status
}

// status is the seat now; there is false for one that is empty by intent.
func (s *seat) status() (status ReplicaStatus, there bool) {
	s.mu.Lock()
	p, startedAt := s.process, s.startedAt
	status = ReplicaStatus{
		Name: s.Name, Component: s.Component, Addr: s.Addr, Admin: s.Admin,
		State: s.state(), Detail: s.detail, Restarts: max(0, s.starts-1),
	}
	there = s.wanted || p != nil
	s.mu.Unlock()
	if p == nil {
		return status, there
	}
	status.PID = p.PID()
	status.UptimeMS = time.Since(startedAt).Milliseconds()
	if used, err := p.Usage(); err == nil {
		status.CPUCores = cores(used.CPU, time.Since(startedAt))
		status.RSSBytes = used.RSSBytes
	}
	// The process table knows better: somebody else may have stopped it.
	if stopped, _, err := p.Stopped(); err == nil && stopped && status.State != Stopping {
		status.State = Paused
	}
	return status, there
}

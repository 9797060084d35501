// Package chaos injects faults into a running system. Call New with what can
// be broken, then Inject for one fault or Play for a timeline; Records says
// what was done, with proof, and Heal undoes whatever still stands.
//
// The invariant: a fault is either reported with proof of its effect, or
// reported as ineffective; and it never outlives Heal.
package chaos

import "time"

// Spec asks for one fault.
type Spec struct {
	Name         string        `json:"name"`             // unique in a run; "" takes FAULT-TARGET
	Fault        string        `json:"fault"`            // a name of the catalogue
	Target       string        `json:"target"`           // a component, or one replica: "inventory-3"
	Replicas     int           `json:"replicas"`         // how many of the component; 0 is all that run
	RestartAfter time.Duration `json:"restart_after_ns"` // kill: how long it stays down; 0 leaves it to the supervisor
	For          time.Duration `json:"for_ns"`           // pause: how long; 0 until resumed or healed
	Source       string        `json:"source"`           // scenario | command
}

// Record is one fault as it happened. Times are on the run's clock.
type Record struct {
	Spec      Spec      `json:"spec"`
	Planned   time.Time `json:"planned"`
	Started   time.Time `json:"started"` // when the effect was observed
	Ended     time.Time `json:"ended"`   // when it was observed to be over; zero: it stands, or has no end
	Replicas  []string  `json:"replicas"`
	Proof     []string  `json:"proof"` // one line per observation
	Effective bool      `json:"effective"`
	Reverted  bool      `json:"reverted"`
	Error     string    `json:"error,omitempty"`
}

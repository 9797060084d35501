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
	Name    string  `json:"name"`   // unique in a run; "" takes FAULT-TARGET
	Fault   string  `json:"fault"`  // a name of the catalogue
	Target  string  `json:"target"` // a component, one replica of it, a link or a partition
	Options Options `json:"options,omitempty"`
	Source  string  `json:"source"` // scenario | nemesis | command
}

// For is how long the fault stands; 0 until it is healed.
func (s Spec) For() time.Duration {
	d, _ := Find(s.Fault)
	return s.duration(d.length)
}

// Record is one fault as it happened. Times are on the run's clock.
type Record struct {
	Spec      Spec      `json:"spec"`
	Planned   time.Time `json:"planned"`
	Started   time.Time `json:"started"`  // when it was there at the first of its places; zero: at none yet
	Ended     time.Time `json:"ended"`    // when it was over at the last of them, what stands still counting as over; zero: it stands, or has no end
	Replicas  []string  `json:"replicas"` // the places it hit: replicas, or links
	Proof     []string  `json:"proof"`    // one line per observation
	Effective bool      `json:"effective"`
	Reverted  bool      `json:"reverted"`          // it is undone everywhere
	Skipped   string    `json:"skipped,omitempty"` // why a drawn fault does not count: its target was not there, or nothing ran into it
	Error     string    `json:"error,omitempty"`
	Endless   bool      `json:"endless,omitempty"` // it ends only when it is healed
}

// Stands says that the fault is in place and was not undone yet.
func (r Record) Stands() bool { return !r.Started.IsZero() && r.Ended.IsZero() }

package conductor

import (
	"time"

	"github.com/ordbench/ordbench/loadgen"
)

// Stage is what a run is doing.
type Stage string

// The stages of a run, in their order.
const (
	Booting   Stage = "boot"
	Loading   Stage = "load"
	Draining  Stage = "drain"
	Auditing  Stage = "audit"
	Finishing Stage = "tear down"
)

// Progress is one look at a run, for the eyes of whoever waits.
type Progress struct {
	Stage     Stage
	Phase     string
	Elapsed   time.Duration // since the load began
	Total     time.Duration // of the load
	SentPerS  float64       // attempts due in the last second
	OKPerS    float64
	NotOK     float64 // share of the last second's ends that were not ok
	Lag       int64   // inventory-group
	Replicas  int     // inventory, ready
	Breaker   string  // state of gateway->order, "" before it is known
	InFlight  string  // while draining: what still moves
	Scheduled uint64  // since the load began
	Bare      bool    // there is a target, but no stack
	Flying    uint64  // attempts in flight, where Bare
}

// rates fills in what happened between two looks.
func (p *Progress) rates(now, then loadgen.Counts, took time.Duration) {
	dt := took.Seconds()
	if dt <= 0 {
		return
	}
	p.SentPerS = float64(now.Scheduled-then.Scheduled) / dt
	p.OKPerS = float64(now.OK-then.OK) / dt
	if ended := now.Settled() - then.Settled(); ended > 0 {
		p.NotOK = 1 - float64(now.OK-then.OK)/float64(ended)
	}
}

// Reporter is told how a run goes. Its methods are called from several
// goroutines and must not block.
type Reporter interface {
	// Progress is called at least four times a second.
	Progress(Progress)
	// Event is called for what happens once: booted, a fault, an end.
	Event(at time.Duration, text string)
}

// Package loadgen drives a target in an open loop: attempts are sent when
// they are due, whatever became of those before. Call Run with a Plan, a
// Workload and an Engine; Snapshot and the Report say what happened.
//
// The invariant is the account: scheduled = ok + rejected + error + timeout
// + dropped + unfinished, at every phase, operation and moment of rest; and
// time counts from when an attempt was due, not from when it was sent.
package loadgen

import "time"

// Op names a kind of attempt, "place_order".
type Op string

// Call is one scheduled attempt on its way to the target.
type Call struct {
	Seq    uint64
	Phase  int           // index into Plan.Phases
	Due    time.Duration // from the start of the plan
	Op     Op
	Method string
	Path   string
	Header [][2]string
	Body   []byte
	Key    string // idempotency key of an order, "" for reads
}

// Reply is what an Engine saw of a Call. Times count from the plan's start.
type Reply struct {
	Sent    time.Duration // -1: it was never sent
	Done    time.Duration
	Status  int // 0: no answer
	Header  Header
	Body    []byte // valid only during Sink.Done
	Failure Failure
	Err     error // detail of Failure
}

// Header reads one header of an answer, "" where it is absent.
type Header func(name string) string

// Failure is why there is no answer.
type Failure uint8

// The failures that engines tell apart.
const (
	None       Failure = iota
	Refused            // the connection was refused: certainly not processed
	Broken             // reset or closed after the request may have arrived
	TimedOut           // no answer in time
	NotSent            // no connection came free in time: never sent
	Unfinished         // still in flight when the load was stopped
)

// Outcome classes an attempt for the account.
type Outcome uint8

// The outcomes of an attempt. They partition what was scheduled.
const (
	OK Outcome = iota
	Rejected
	Error
	Timeout
	Dropped
	Abandoned // unfinished in the account
)

// Certainty is what is known of an attempt's effect on the target.
type Certainty uint8

// After Jepsen: ok happened, fail certainly did not, unknown may have.
const (
	Happened Certainty = iota
	Refuted
	Unknown
)

// Verdict is what a Workload makes of a Reply.
type Verdict struct {
	Outcome   Outcome
	Certainty Certainty
	Reason    string // why it is not ok, "429", "refused", "timeout"; "" if ok
	OrderID   string // of an accepted order
}

// Attempt is one line of the ledger: an order that was tried. Reads are not
// in the ledger.
type Attempt struct {
	Seq       uint64
	Phase     string
	Due       time.Duration
	Sent      time.Duration // -1: never sent
	Done      time.Duration
	Certainty Certainty
	Status    int
	Key       string
	OrderID   string // "" unless accepted
	Reason    string
}

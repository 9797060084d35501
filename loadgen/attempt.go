package loadgen

import "time"

// Op names a kind of attempt, "place_order".
type Op string

// Call is one scheduled attempt on its way to the target. An Engine keeps one
// Call per connection and has it filled again and again: its slices are the
// memory of the attempt before, so nothing is allocated per attempt, and
// nothing of a Call may be kept after Sink.Done.
type Call struct {
	Seq    uint64
	Phase  int           // index into Plan.Phases
	Due    time.Duration // from the start of the plan
	Op     Op
	Method string
	Path   []byte // with the query, if any
	Header []Field
	Body   []byte
	Key    []byte // idempotency key of an order, empty for reads

	Step    string        // of a flow; "" for an attempt of one request
	Planned time.Duration // when the attempt was due by the law, which its later steps are not
	first   time.Duration // when its first step was sent; -1 before that
	further bool          // it is a later step
	goesOn  bool          // it holds a next step
	tries   int           // how often this step was sent and is known to have ended
}

// Field is one header line of a Call.
type Field struct {
	Name  string
	Value []byte
}

// Reset empties what a Workload fills and keeps the memory.
func (c *Call) Reset() {
	c.Op, c.Method, c.Step = "", "", ""
	c.Path, c.Header, c.Body, c.Key = c.Path[:0], c.Header[:0], c.Body[:0], c.Key[:0]
}

// AddHeader adds a header line and returns it, for its Value to be appended
// to: what Value holds is the empty memory of an earlier line.
func (c *Call) AddHeader(name string) *Field {
	if len(c.Header) < cap(c.Header) {
		c.Header = c.Header[:len(c.Header)+1]
	} else {
		c.Header = append(c.Header, Field{})
	}
	f := &c.Header[len(c.Header)-1]
	f.Name, f.Value = name, f.Value[:0]
	return f
}

// Reply is what an Engine saw of a Call. Times count from the plan's start.
type Reply struct {
	Ready   time.Duration // when a connection was free for the Call, which may be before it was due
	Sent    time.Duration // when the engine began to send, or to connect if it had to; -1: it never did
	Done    time.Duration
	Status  int // 0: no answer
	Header  Header
	Body    []byte // valid only during Sink.Done
	Failure Failure
	Err     error // detail of Failure
}

// Header reads one header of an answer, "" where it is absent. It is nil
// where there is no answer.
type Header func(name string) string

// Failure is why there is no complete answer.
type Failure uint8

// The failures that engines tell apart.
const (
	None       Failure = iota
	Refused            // no connection could be made: certainly not processed
	Broken             // reset, closed or garbled after the request may have arrived
	TimedOut           // no answer in time
	NotSent            // no connection came free in time: never sent
	Stopped            // due, and not yet sent when the load was stopped
	Unfinished         // still in flight when the load was stopped
	Withdrawn          // not yet due when the load was stopped: it does not count
)

// Verdict is what a failure means for the account, whatever the workload.
// Refused, NotSent and Stopped certainly had no effect.
func (f Failure) Verdict() Verdict {
	switch f {
	case Refused:
		return Verdict{Outcome: Error, Certainty: Refuted, Reason: "refused"}
	case Broken:
		return Verdict{Outcome: Error, Certainty: Unknown, Reason: "broken"}
	case TimedOut:
		return Verdict{Outcome: Timeout, Certainty: Unknown, Reason: "timeout"}
	case NotSent:
		return Verdict{Outcome: Dropped, Certainty: Refuted, Reason: "no-connection"}
	case Stopped:
		return Verdict{Outcome: Dropped, Certainty: Refuted, Reason: "stopped"}
	case Unfinished:
		return Verdict{Outcome: Abandoned, Certainty: Unknown, Reason: "unfinished"}
	}
	return Verdict{Outcome: OK, Certainty: Happened}
}

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

// String is the word that the ledger holds: ok, fail or unknown.
func (c Certainty) String() string {
	switch c {
	case Happened:
		return "ok"
	case Refuted:
		return "fail"
	}
	return "unknown"
}

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

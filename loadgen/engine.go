package loadgen

import (
	"context"
	"time"
)

// Engine sends calls when they are due. It owns the clock, the connections
// and the order of work, so that an engine may be one thread with its own
// event loop: nothing here asks for a goroutine, a channel or an allocation
// per call.
type Engine interface {
	// Run takes every Call from job.Calls and gives each exactly one Done,
	// until there are no more. When ctx ends it sends nothing new; what is in
	// flight has job.Grace to be answered and is Unfinished after that, what
	// it holds unsent is Stopped if it was due and Withdrawn if not. The
	// error says that the engine itself could not work, never what became of
	// a Call; an end of ctx is no error.
	Run(ctx context.Context, job Job) error
}

// ThreadName is the name of the threads of an engine that has its own. Linux
// takes 15 characters.
const ThreadName = "ordbench-load"

// Job is the work of an Engine.
type Job struct {
	Start   time.Time // of the plan, with a monotonic reading; Due counts from it
	Grace   time.Duration
	Calls   Source
	Replies Sink
}

// Source gives calls in the order in which they are due. It does not wait: an
// engine asks for a Call ahead of its time, by no more than one for each
// connection or loop, and keeps it until it is due.
type Source interface {
	// Next fills c and may be called from several goroutines. False means
	// that there are no more.
	Next(c *Call) bool
}

// Sink takes replies.
type Sink interface {
	// Done may be called from several goroutines. It does not block for
	// longer than a write to a file may.
	Done(c *Call, r *Reply)
}

// Workload makes the content of calls and reads that of replies.
type Workload interface {
	// Next fills the content of c, which is Reset and has its Seq, Phase and
	// Due. It is called by one goroutine at a time. What it makes should
	// depend on its own seed and c.Seq, so that a seed repeats a run.
	Next(c *Call)
	// Judge says what r means. It may be called from several goroutines and
	// keeps nothing of c and r.
	Judge(c *Call, r *Reply) Verdict
}

package system

import (
	"context"
	"database/sql"
	"time"
)

// Runtime is where a stack runs: child processes, containers.
type Runtime interface {
	// Name is what results call it: "local".
	Name() string
	// Boot makes ready whatever replicas need before they can start:
	// addresses, directories, configurations. It starts none of them.
	Boot(ctx context.Context, cfg Config) (Fleet, error)
}

// Fleet is the places of a stack's replicas. A place keeps its addresses and
// its data for the life of the fleet, whoever dies in it.
type Fleet interface {
	// Replicas lists every place, those of Components in order, replica 0
	// first.
	Replicas() []Replica
	// Start starts the process of a replica. It doesn't wait until that is
	// ready. At most one process of a replica runs at a time.
	Start(ctx context.Context, replica string) (Process, error)
	// Tail returns the last lines that a replica's latest process wrote; ""
	// if there are none.
	Tail(replica string, lines int) string
	// Brokers are the addresses of the broker.
	Brokers() []string
	// Database opens the database of a service for reading only.
	Database(ctx context.Context, c Component) (*sql.DB, error)
	// Infrastructure says what the system stands on, by name: product,
	// version and where it comes from. Only while it runs.
	Infrastructure(ctx context.Context) map[string]string
	// Close gives everything back. All processes have ended by then, or it
	// ends them.
	Close() error
}

// Perishable is a Fleet whose data end with it: what holds them need not end
// in good order.
type Perishable interface{ Perishable() bool }

// Prepared is a Fleet whose starts cost less when something is done before.
type Prepared interface {
	// Prepare does that for replicas that were not started yet, and returns
	// when it is done or ctx has ended.
	Prepare(ctx context.Context, replicas []string)
}

// Replica is one place of a fleet.
type Replica struct {
	Name      string
	Component Component
	Addr      string // host:port of the service
	Admin     string // host:port of health, readiness and metrics; "": it has none
	// Ready asks whether it can take work, and says why not; nil asks Admin.
	Ready func(ctx context.Context) error
}

// Process is one run of a replica.
type Process interface {
	PID() int
	// Done is closed when the process has ended and its end is known.
	Done() <-chan struct{}
	// Exit says how it ended, "exit status 1", "signal: killed". Only after
	// Done.
	Exit() string
	// Terminate asks it to end in good order.
	Terminate() error
	// Kill ends it at once, paused or not.
	Kill() error
	Pause() error
	Resume() error
	// Stopped reads from the process table whether it stands still, with
	// the state in the table's own words.
	Stopped() (stopped bool, state string, err error)
	// Usage is what it has used.
	Usage() (Usage, error)
}

// Usage is what a process has used.
type Usage struct {
	CPU      time.Duration // user and system, since its start
	RSSBytes int64         // now
}

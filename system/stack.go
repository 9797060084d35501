// Package system is the order system as one thing, the Stack: Boot starts it
// on a Runtime, Scale, Kill, Pause, Resume and Restart change it, Observe and
// Status look at it, Audit reads its books, Close ends it.
//
// The invariant: a replica that is wanted runs, or the supervisor is about to
// start it again in its old place; and what Close leaves behind is nothing.
package system

import (
	"context"
	"log/slog"
	"time"
)

// Stack is a running order system.
type Stack struct {
	rt    Runtime
	fleet Fleet
	cfg   Config
	log   *slog.Logger
}

// Boot starts a stack and returns when all of it is ready. After an error
// nothing of it is left; the error says which replica is to blame, with the
// last lines of its log. ctx bounds the boot, not the life of the stack.
func Boot(ctx context.Context, rt Runtime, cfg Config, log *slog.Logger) (*Stack, error) {
	return nil, nil
}

// URL is the base URL of the gateway.
func (s *Stack) URL() string { return "" }

// Runtime is the name of the runtime.
func (s *Stack) Runtime() string { return s.rt.Name() }

// Close ends the stack in reverse order, gracefully while ctx lasts and then
// by force.
func (s *Stack) Close(ctx context.Context) error { return nil }

// Scale sets how many replicas of a component are wanted and returns when
// they are ready, and those too many are gone.
func (s *Stack) Scale(ctx context.Context, c Component, n int) error { return nil }

// Running names the replicas of a component that have a process, paused or
// not, in order.
func (s *Stack) Running(component string) []string { return nil }

// Known tells whether target names a component or a replica of the stack.
func (s *Stack) Known(target string) bool { return false }

// Kill ends a replica at once and returns when it is seen dead. It stays
// down for hold; 0 leaves the restart to the supervisor.
func (s *Stack) Kill(ctx context.Context, replica string, hold time.Duration) (at time.Time, detail string, err error) {
	return
}

// Pause stops a replica and returns when the process table shows it.
func (s *Stack) Pause(ctx context.Context, replica string) (at time.Time, detail string, err error) {
	return
}

// Resume lets a paused replica run.
func (s *Stack) Resume(ctx context.Context, replica string) (at time.Time, detail string, err error) {
	return
}

// Restart ends a replica gracefully and returns when it is ready again.
func (s *Stack) Restart(ctx context.Context, replica string) (at time.Time, detail string, err error) {
	return
}

// AwaitReady returns when a replica is ready.
func (s *Stack) AwaitReady(ctx context.Context, replica string) (at time.Time, detail string, err error) {
	return
}

// Audit reads the system's books.
func (s *Stack) Audit(ctx context.Context, a Auditor) error { return nil }

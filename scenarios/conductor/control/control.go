// Package control lets a second terminal reach a running stack: Serve answers
// for it on a unix socket, Dial finds it and returns a Client.
//
// The invariant: only the user who started a stack can reach it. Sockets
// stand in a directory of mode 0700 that this user owns; anything else there
// is refused, not used.
package control

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/ordbench/ordbench/chaos"
	"github.com/ordbench/ordbench/reports"
	"github.com/ordbench/ordbench/system"
)

// Stack is what can be asked of a running stack.
type Stack interface {
	Status(ctx context.Context) (system.Status, error)
	Inject(ctx context.Context, spec chaos.Spec) (chaos.Record, error)
	Heal(ctx context.Context) ([]chaos.Record, error)
	Verify(ctx context.Context) (Verification, error)
	Token(ctx context.Context, want TokenRequest) (Token, error)
	DeadLetters(ctx context.Context) ([]system.DeadLetter, error)
	Redrive(ctx context.Context, ids ...string) ([]system.DeadLetter, error)
	Down(ctx context.Context) error
}

// Info says whose stack answers.
type Info struct {
	ID        string    `json:"id"`
	Kind      string    `json:"kind"` // up | run
	Scenario  string    `json:"scenario"`
	PID       int       `json:"pid"`
	StartedAt time.Time `json:"started_at"`
	Dir       string    `json:"dir"` // where its logs are
}

// TokenRequest asks for a bearer token.
type TokenRequest struct {
	User   string        `json:"user"`
	Roles  []string      `json:"roles"`
	For    time.Duration `json:"for"`    // nanoseconds
	Rotate bool          `json:"rotate"` // make a new key first
}

// Token is a bearer token for the gateway of a stack.
type Token struct {
	Token string `json:"token"`
}

// Verification is an audit of a stack that may still be at work.
type Verification struct {
	Outcome    reports.Outcome     `json:"outcome"`
	Reason     string              `json:"reason"`
	Drained    bool                `json:"drained"`
	InFlight   string              `json:"in_flight"` // what still moves, "" if nothing
	Orders     reports.Orders      `json:"orders"`
	Invariants []reports.Invariant `json:"invariants"`
}

// ErrNone says that no stack of this user runs.
var ErrNone = errors.New("no stack is running: start one with `ordbench up -d`, or `ordbench run SCENARIO`")

// Dir is the directory of this user's sockets, made if it is missing. It is
// refused if another user owns it or could enter it.
func Dir() (string, error) {
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("ordbench-%d", os.Getuid()))
	if run := os.Getenv("XDG_RUNTIME_DIR"); run != "" {
		dir = filepath.Join(run, "ordbench")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("control sockets: %w", err)
	}
	fi, err := os.Lstat(dir)
	if err != nil {
		return "", fmt.Errorf("control sockets: %w", err)
	}
	if owner, ok := fi.Sys().(*syscall.Stat_t); !fi.IsDir() || !ok || int(owner.Uid) != os.Getuid() || fi.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("control sockets: %s must be a directory of mode 0700 that you own: remove it, or set XDG_RUNTIME_DIR", dir)
	}
	return dir, nil
}

func socketPath(dir, id string) string { return filepath.Join(dir, id+".sock") }

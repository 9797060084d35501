package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// auditPerSecond bounds how many refusals one process writes down each
// second. A flood must not fill the disk; how many were left out is told.
const auditPerSecond = 50

// auditText bounds what a stranger may put into one field of a line, in bytes.
const auditText = 200

// Audit is the record of what was refused and of what changed the system, one
// JSON object per line. All processes of a stack append to the same file. No
// line holds a token, a key or a body. A nil Audit records nothing.
type Audit struct {
	log  *slog.Logger
	file *os.File

	mu      sync.Mutex
	second  int64
	written int
	leftOut int
}

// OpenAudit appends to the file at path; "" is none.
func OpenAudit(path, component, replica string) (*Audit, error) {
	if path == "" {
		return nil, nil
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("audit log: %w", err)
	}
	return &Audit{log: NewLogger(file, component, replica), file: file}, nil
}

// Refusal is one request that was turned away.
type Refusal struct {
	Reason  string // one word, as in the type of the problem
	Status  int    // 0: the connection ended without an answer
	Client  string // address, or the name of the peer
	Subject string // who the request spoke for, where that is known
	Method  string
	Path    string
	Detail  string
}

// Refused notes that a request was turned away.
func (a *Audit) Refused(ctx context.Context, r Refusal) {
	if a == nil {
		return
	}
	leftOut, ok := a.turn(time.Now().Unix())
	if !ok {
		return
	}
	attrs := make([]slog.Attr, 0, 8)
	add := func(key, value string) {
		if len(value) > auditText {
			value = value[:auditText] + "..."
		}
		if value != "" {
			attrs = append(attrs, slog.String(key, value))
		}
	}
	add("reason", r.Reason)
	attrs = append(attrs, slog.Int("status", r.Status))
	add("client", r.Client)
	add("subject", r.Subject)
	add("method", r.Method)
	add("path", r.Path)
	add("detail", r.Detail)
	if leftOut > 0 {
		attrs = append(attrs, slog.Int("left_out", leftOut))
	}
	a.log.LogAttrs(ctx, slog.LevelWarn, "refused", attrs...)
}

// turn says whether a refusal of that second is written down, and how many
// were not since the last that was.
func (a *Audit) turn(second int64) (leftOut int, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if second != a.second {
		a.second, a.written = second, 0
	}
	if a.written == auditPerSecond {
		a.leftOut++
		return 0, false
	}
	a.written++
	leftOut, a.leftOut = a.leftOut, 0
	return leftOut, true
}

// Changed notes that somebody had the system do something: a fault, a token,
// an end.
func (a *Audit) Changed(ctx context.Context, what string, attrs ...slog.Attr) {
	if a != nil {
		a.log.LogAttrs(ctx, slog.LevelInfo, what, attrs...)
	}
}

// Close closes the file.
func (a *Audit) Close() error {
	if a == nil {
		return nil
	}
	return a.file.Close()
}

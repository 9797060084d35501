package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/ordbench/ordbench/chaos"
	"github.com/ordbench/ordbench/system"
	"github.com/ordbench/ordbench/system/endpoint"
)

// problem is an error on its way to the other terminal.
type problem struct {
	Usage   *chaos.UsageError `json:"usage,omitempty"` // the caller's mistake
	Message string            `json:"message"`
}

// Listen opens the socket of stack id. Closing it, as Serve does, removes it.
func Listen(id string) (net.Listener, error) {
	dir, err := Dir()
	if err != nil {
		return nil, err
	}
	// The socket gets its name only when it listens: whoever lists the stacks
	// takes a socket that refuses for one left behind, and sweeps it.
	hidden, path := filepath.Join(dir, "."+id), socketPath(dir, id)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: hidden, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	l.SetUnlinkOnClose(false)
	err = os.Chmod(hidden, 0o600)
	if err == nil {
		err = os.Rename(hidden, path)
	}
	if err != nil {
		_ = l.Close() // the error above says more
		os.Remove(hidden)
		return nil, fmt.Errorf("control socket: %w", err)
	}
	return socket{l, path}, nil
}

// socket is a listener that takes its name away with it.
type socket struct {
	net.Listener
	path string
}

func (s socket) Close() error {
	os.Remove(s.path)
	return s.Listener.Close()
}

// Serve answers for s on l until ctx ends. It closes l.
func Serve(ctx context.Context, l net.Listener, info Info, s Stack) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /info", answer(func(context.Context, struct{}) (Info, error) { return info, nil }))
	mux.HandleFunc("GET /status", answer(func(ctx context.Context, _ struct{}) (any, error) { return s.Status(ctx) }))
	mux.HandleFunc("POST /faults", answer(func(ctx context.Context, spec chaos.Spec) (chaos.Record, error) {
		spec.Source = "command"
		return s.Inject(ctx, spec)
	}))
	mux.HandleFunc("POST /heal", answer(func(ctx context.Context, _ struct{}) ([]chaos.Record, error) { return s.Heal(ctx) }))
	mux.HandleFunc("POST /verify", answer(func(ctx context.Context, _ struct{}) (Verification, error) { return s.Verify(ctx) }))
	mux.HandleFunc("POST /token", answer(func(ctx context.Context, want TokenRequest) (Token, error) { return s.Token(ctx, want) }))
	mux.HandleFunc("GET /dead-letters", answer(func(ctx context.Context, _ struct{}) ([]system.DeadLetter, error) { return s.DeadLetters(ctx) }))
	mux.HandleFunc("POST /dead-letters/redrive", answer(func(ctx context.Context, ids []string) ([]system.DeadLetter, error) { return s.Redrive(ctx, ids...) }))
	mux.HandleFunc("POST /down", answer(func(ctx context.Context, _ struct{}) (struct{}, error) { return struct{}{}, s.Down(ctx) }))
	return endpoint.Serve(ctx, l, endpoint.NewServer(mux), 2*time.Second)
}

// answer turns a call into a handler: JSON in, JSON out.
func answer[In, Out any](call func(context.Context, In) (Out, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in In
		if r.Method == http.MethodPost && r.ContentLength != 0 {
			dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10))
			dec.DisallowUnknownFields()
			if err := dec.Decode(&in); err != nil {
				reply(w, http.StatusBadRequest, problem{Usage: &chaos.UsageError{Message: err.Error()}})
				return
			}
		}
		out, err := call(r.Context(), in)
		if err != nil {
			p := problem{Message: err.Error()}
			errors.As(err, &p.Usage)
			reply(w, http.StatusUnprocessableEntity, p)
			return
		}
		reply(w, http.StatusOK, out)
	}
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// The caller may be gone; there is nobody else to tell.
	_ = json.NewEncoder(w).Encode(v)
}

package endpoint

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// NewServer answers with h, within limits that suit clients of ours, and for
// no longer than they wait.
func NewServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           Deadline(h),
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
	}
}

// Serve answers on l with srv until ctx ends, then lets open requests finish
// for at most grace; what is left is cut off. It closes l. The error is nil
// after an orderly end.
func Serve(ctx context.Context, l net.Listener, srv *http.Server, grace time.Duration) error {
	unused := unusedConns{conns: map[net.Conn]bool{}}
	told := srv.ConnState
	srv.ConnState = func(c net.Conn, state http.ConnState) {
		unused.note(c, state)
		if told != nil {
			told(c, state)
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve on %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	unused.close()
	err := srv.Shutdown(stop)
	if err != nil {
		_ = srv.Close() // that the grace ran out says more
	}
	if last := <-ended; err == nil && !errors.Is(last, http.ErrServerClosed) {
		err = last
	}
	if err != nil {
		return fmt.Errorf("shut down %s: %w", l.Addr(), err)
	}
	return nil
}

// HangUp ends the connection of a request without an answer; it does not
// return. A handler that just returned would have said 200, and whoever reads
// that takes for done what was not: a connection whose sending half has ended
// may still have somebody at its other end.
func HangUp() { panic(http.ErrAbortHandler) }

// unusedConns are connections that have not sent a byte yet: those that a
// client keeps in reserve. Shutdown alone would wait five seconds for each.
type unusedConns struct {
	mu     sync.Mutex
	conns  map[net.Conn]bool
	closed bool
}

func (u *unusedConns) note(c net.Conn, state http.ConnState) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case state != http.StateNew:
		delete(u.conns, c)
	case u.closed:
		c.Close()
	default:
		u.conns[c] = true
	}
}

func (u *unusedConns) close() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.closed = true
	for c := range u.conns {
		c.Close()
	}
}

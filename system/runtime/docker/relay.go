package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"
	"time"
)

// relay brings what containers send to the collector of spans, which listens
// on the loopback interface of this machine, where they cannot reach it. It
// listens on this machine's end of the private network, so nobody else can
// reach it either.
type relay struct {
	listener net.Listener
	target   string

	mu   sync.Mutex
	open map[net.Conn]struct{} // nil: closed
	done sync.WaitGroup
}

// relayTo starts a relay on host, to the host of a URL, and returns the URL
// with the relay in its place.
func relayTo(ctx context.Context, host, target string) (*relay, string, error) {
	u, err := url.Parse(target)
	if err != nil {
		return nil, "", err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return nil, "", fmt.Errorf("relay spans: %w", err)
	}
	r := &relay{listener: l, target: u.Host, open: map[net.Conn]struct{}{}}
	r.done.Go(r.accept)
	u.Host = l.Addr().String()
	return r, u.String(), nil
}

func (r *relay) accept() {
	for {
		c, err := r.listener.Accept()
		if err != nil {
			return // closed
		}
		r.done.Go(func() { r.carry(c) })
	}
}

// carry copies both ways until either side ends.
func (r *relay) carry(from net.Conn) {
	to, err := net.DialTimeout("tcp", r.target, time.Second)
	if err != nil {
		_ = from.Close() // who sends tries again
		return
	}
	if !r.hold(from, to) {
		return
	}
	defer r.drop(from, to)
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(from, to) // the end of either is the end of both
		r.drop(from, to)
	})
	_, _ = io.Copy(to, from)
	r.drop(from, to)
	back.Wait()
}

func (r *relay) hold(conns ...net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range conns {
		if r.open == nil {
			_ = c.Close()
			continue
		}
		r.open[c] = struct{}{}
	}
	return r.open != nil
}

func (r *relay) drop(conns ...net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range conns {
		_ = c.Close() // twice does no harm
		delete(r.open, c)
	}
}

// Close ends the relay and what it carries.
func (r *relay) Close() error {
	err := r.listener.Close()
	r.mu.Lock()
	for c := range r.open {
		err = errors.Join(err, ignoreClosed(c.Close()))
	}
	r.open = nil
	r.mu.Unlock()
	r.done.Wait()
	return err
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

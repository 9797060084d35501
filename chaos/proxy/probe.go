package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

// Probe is what one connection through the link met.
type Probe struct {
	Refused bool          // nobody listened
	Reset   bool          // it was reset
	Silent  bool          // nothing came back in time
	Took    time.Duration // from the first byte sent to the last byte back
}

// Probe opens a connection through the link to an echo in its place of the
// upstream, sends bytes, and waits for as many, no longer than ctx lasts. The
// probe is in every share; it meets the rules that stand now.
func (l *Link) Probe(ctx context.Context, bytes int) (Probe, error) {
	// The port is bound before the connection is made, so that the link
	// knows it for a probe when it is accepted.
	holder, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return Probe{}, fmt.Errorf("probe %s: %w", l.addr, err)
	}
	addr := holder.Addr().(*net.TCPAddr)
	_ = holder.Close() // the port is free again either way
	l.mu.Lock()
	l.probes[addr.String()] = true
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		delete(l.probes, addr.String())
		l.mu.Unlock()
	}()
	d := net.Dialer{LocalAddr: addr}
	_, port, _ := net.SplitHostPort(l.addr) // it is one that was bound
	c, err := d.DialContext(ctx, "tcp4", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		return Probe{Refused: true}, nil
	}
	defer c.Close()
	if deadline, ok := ctx.Deadline(); ok {
		_ = c.SetDeadline(deadline) // fails only on a closed connection, and then so does what follows
	}
	began := time.Now()
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write(make([]byte, bytes))
		sent <- err
	}()
	_, err = io.CopyN(io.Discard, c, int64(bytes))
	took := time.Since(began)
	if err != nil {
		c.Close()
	}
	<-sent //nolint:errcheck // who reads knows better
	switch {
	case err == nil:
		return Probe{Took: took}, nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return Probe{Silent: true, Took: took}, nil
	default:
		return Probe{Reset: true, Took: took}, nil
	}
}

// isProbe says whether a client is a probe.
func (l *Link) isProbe(client net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.probes[client.RemoteAddr().String()]
}

// reach connects to where a client's connection goes: to the upstream, or
// for a probe to an echo.
func (l *Link) reach(probe bool) (net.Conn, error) {
	if !probe {
		return net.DialTimeout("tcp", l.upstream, time.Second)
	}
	near, far := net.Pipe()
	l.running.Go(func() {
		defer far.Close()
		_, _ = io.Copy(far, far) // until the probe is done
	})
	return near, nil
}

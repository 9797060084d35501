package wire

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// link is a connection that knows what became of the call on it: when its
// first byte was written, and whether its time ran out.
type link struct {
	net.Conn
	client   *http.ClientConn
	start    time.Time    // of the plan
	written  atomic.Int64 // nanoseconds from start to the first write of the call; -1 before
	timedOut atomic.Bool
	quiet    chan struct{} // holds one while net/http waits for bytes and none are there
	closed   chan struct{}
	closing  sync.Once
	unwatch  func() bool
}

// dial makes the link under a client connection.
func (e *NetHTTP) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := e.cfg.Dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	l := ctx.Value(linkKey{}).(*link)
	l.Conn = conn
	return l, nil
}

// linkKey carries the link that a dial is for.
type linkKey struct{}

// connect makes a connection to the target, TLS included.
func (w *worker) connect(deadline time.Time) (*link, error) {
	ctx, cancel := context.WithDeadline(w.hard, deadline)
	defer cancel()
	l := &link{start: w.job.Start, quiet: make(chan struct{}, 1), closed: make(chan struct{})}
	client, err := w.client.NewClientConn(context.WithValue(ctx, linkKey{}, l), w.base.Scheme, w.addr)
	if err != nil {
		return nil, err
	}
	l.client = client
	l.unwatch = context.AfterFunc(w.hard, func() { _ = client.Close() })
	return l, nil
}

// hangUp closes the connection, if there is one.
func (w *worker) hangUp() {
	if w.link == nil {
		return
	}
	w.link.unwatch()
	_ = w.link.client.Close() // the call on it is settled already
	w.link = nil
}

// settle waits until net/http has looked at all that came with the last
// answer. What nobody asked for ends the connection; a call that went out
// before net/http saw it would have it for an answer.
func (l *link) settle() {
	select {
	case <-l.quiet:
	case <-l.closed:
	}
}

// begin readies the link for a call that must be answered by the deadline.
func (l *link) begin(deadline time.Time) {
	l.written.Store(-1)
	_ = l.SetDeadline(deadline) // an error shows at the next read or write
}

// end lets the link be idle for any time.
func (l *link) end() { _ = l.SetDeadline(time.Time{}) }

// sent is when the first byte of the call was written, if one was.
func (l *link) sent() (time.Duration, bool) {
	at := l.written.Load()
	return time.Duration(at), at >= 0
}

// Write notes the time of the first byte, before it is out: what may have
// been written counts as written.
func (l *link) Write(b []byte) (int, error) {
	if l.written.Load() < 0 {
		l.written.Store(int64(time.Since(l.start)))
	}
	n, err := l.Conn.Write(b)
	l.note(err)
	return n, err
}

// Read notes when the time is up.
func (l *link) Read(b []byte) (int, error) {
	n, err := l.read(b)
	l.stir()
	l.note(err)
	return n, err
}

// hush says that nothing is left to read, until stir.
func (l *link) hush() {
	select {
	case l.quiet <- struct{}{}:
	default:
	}
}

func (l *link) stir() {
	select {
	case <-l.quiet:
	default: // a call took it for leave to go
	}
}

// Close ends the wait of settle, too.
func (l *link) Close() error {
	l.closing.Do(func() { close(l.closed) })
	return l.Conn.Close()
}

func (l *link) note(err error) {
	if err != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		l.timedOut.Store(true)
	}
}

// timedOut says that err is a timeout of the network.
func timedOut(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

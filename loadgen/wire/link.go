package wire

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
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
	l := &link{start: w.job.Start}
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
	n, err := l.Conn.Read(b)
	l.note(err)
	return n, err
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

package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ordbench/ordbench/system/endpoint"
	"github.com/ordbench/ordbench/system/telemetry"
)

// watched is a listener that puts on record what net/http refuses by itself,
// before any handler, a header that is too long or no HTTP at all, and that
// answers 408 to a header that does not end in time, where net/http hangs up
// without a word.
type watched struct {
	net.Listener
	audit     *telemetry.Audit
	turnstile *turnstile
}

func (l watched) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &watchedConn{TCPConn: c.(*net.TCPConn), audit: l.audit, turnstile: l.turnstile}, nil
}

// watch has srv tell the connections of a watched listener where they are.
func watch(srv *http.Server) {
	type key struct{}
	next := srv.Handler
	srv.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, key{}, c)
	}
	srv.ConnState = func(c net.Conn, state http.ConnState) {
		if state == http.StateIdle {
			c := c.(*watchedConn)
			c.begun.Store(false)
			c.headed.Store(false)
			if c.stand == handed {
				c.stand = settled
			}
		}
	}
	srv.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := r.Context().Value(key{}).(*watchedConn)
		c.headed.Store(true)
		c.last.Store(r.Close && r.ContentLength != 0)
		next.ServeHTTP(w, r)
	})
}

// watchedConn is one request at a time. net/http finds the CloseWrite of a TCP
// connection, by which a client that still sends gets to read why it was
// refused, where a reset would take the answer from it.
type watchedConn struct {
	*net.TCPConn
	audit     *telemetry.Audit
	turnstile *turnstile
	stand     stand       // of who reads: one at a time
	first     byte        // of the next request, ahead of it
	begun     atomic.Bool // a part of it has come
	headed    atomic.Bool // its header is complete
	over      atomic.Bool // the last word is said
	last      atomic.Bool // the client asks for nothing more
}

// lingerFor and lingerBytes bound how long and how much of what a client still
// sends is thrown away after its last answer.
const (
	lingerFor   = 500 * time.Millisecond
	lingerBytes = 1 << 20
)

// Close of a connection that its client wants closed waits for the client to
// close it too: a refused one may still be sending, and to close on that resets
// the connection, which takes the answer from the client (RFC 9112, 9.6). Where
// the client wants to keep it net/http sees to that.
func (c *watchedConn) Close() error {
	if c.last.Swap(false) && c.CloseWrite() == nil {
		_ = c.SetReadDeadline(time.Now().Add(lingerFor))
		_, _ = io.CopyN(io.Discard, c.TCPConn, lingerBytes)
	}
	return c.TCPConn.Close()
}

// has is told of what a read brings net/http.
func (c *watchedConn) has(n int, err error) {
	if n > 0 {
		c.begun.Store(true)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) && c.begun.Load() && !c.headed.Load() {
		c.tooSlow()
	}
}

// tooSlow answers a request whose header is not complete; net/http ends the
// connection after that.
func (c *watchedConn) tooSlow() {
	problem := endpoint.NewProblem(http.StatusRequestTimeout, "slow", "the header did not arrive in time")
	c.record("slow", problem.Status, problem.Detail)
	_ = c.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = c.TCPConn.Write(rawAnswer(problem, true, http.Header{})) // a client that is gone misses nothing
	c.over.Store(true)
}

// Write looks for the one form in which net/http refuses: no answer of ours
// is plain text that ends its connection. It has nothing to add to a 408.
func (c *watchedConn) Write(b []byte) (int, error) {
	if c.over.Load() {
		return len(b), nil
	}
	const errors = "\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"
	if status, _, found := bytes.Cut(b[:min(len(b), 200)], []byte(errors)); found && bytes.HasPrefix(status, []byte("HTTP/1.1 4")) {
		text := strings.TrimPrefix(string(status), "HTTP/1.1 ")
		c.record("protocol", int(text[0]-'0')*100+int(text[1]-'0')*10+int(text[2]-'0'), text)
	}
	return c.TCPConn.Write(b)
}

func (c *watchedConn) record(reason string, status int, detail string) {
	client, _, _ := net.SplitHostPort(c.RemoteAddr().String())
	c.audit.Refused(context.Background(), telemetry.Refusal{Reason: reason, Status: status, Client: client, Detail: detail})
}

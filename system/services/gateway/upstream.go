package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/ordbench/ordbench/system/endpoint"
	"github.com/ordbench/ordbench/system/pki"
	"github.com/ordbench/ordbench/system/resilience"
	"github.com/ordbench/ordbench/system/telemetry"
)

// answerLimit bounds what is kept of an answer, in bytes. Answers are read
// whole before the client sees any of them, so that a dependency that dies in
// mid-answer gives a clean 502 and not half a 202.
const answerLimit = 1 << 20

// upstream is one dependency of the gateway: its replicas, tried in turn.
type upstream struct {
	name      string // "order"
	replicas  []replica
	turn      atomic.Uint32
	timeout   time.Duration // over all tries
	pool      *resilience.Pool
	retry     *resilience.Retry
	breaker   *resilience.Breaker
	identity  *pki.Identity
	transport *http.Transport
	traced    http.RoundTripper // over transport
}

// replica is one process of an upstream.
type replica struct {
	addr  string
	avoid atomic.Int64 // until then, µs of the Unix epoch, others are tried first
}

// avoidFor is how long a replica that could not be reached comes last: of
// twenty places for replicas, nineteen may be empty.
const avoidFor = time.Second

// call is what is sent to an upstream.
type call struct {
	method string
	url    *url.URL // the path and the query count
	header http.Header
	body   []byte
	urgent resilience.Priority
	within time.Duration // how long the client waits; 0: it did not say
	tried  bool
}

// forTry is the header of the next try. A torn try may still be reading its own.
func (c *call) forTry() http.Header {
	if c.tried {
		c.header = maps.Clone(c.header)
	}
	c.tried = true
	return c.header
}

// mayRepeat says whether a call that failed like this may be made again: a
// read that was torn has done no harm, anything else only if it certainly was
// not processed. What took too long once is not asked for twice.
func (c call) mayRepeat(err error) bool {
	var f *failure
	if !errors.As(err, &f) {
		return false
	}
	return f.kind == unreachable || f.kind == broken && (c.method == http.MethodGet || c.method == http.MethodHead)
}

// answer is what came back, complete.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// failure says why there is no answer.
type failure struct {
	kind kind
	err  error
}

// kind classes a failure by what it leaves known.
type kind string

const (
	unreachable kind = "unreachable" // no byte was sent: certainly not processed
	timedOut    kind = "timeout"     // may be processed
	broken      kind = "broken"      // reset, closed or torn: may be processed
	hungUp      kind = "hung-up"     // the client went away: may be processed
)

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// errServer has a 5xx count for the breaker although it is passed on.
var errServer = errors.New("server error")

// newTransport keeps connections to the replicas of a dependency, which each
// has proven to be.
func newTransport(timeout time.Duration, component string, me *pki.Identity) *http.Transport {
	dialer := &net.Dialer{Timeout: min(timeout, time.Second), KeepAlive: 15 * time.Second}
	dial := me.Dialer(component, dialer.DialContext)
	return &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := dial(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &markedConn{Conn: c}, nil
		},
		DisableCompression:  true, // bodies pass through as they are
		MaxIdleConns:        2048,
		MaxIdleConnsPerHost: 1024, // else each burst pays for connections anew
		// Shorter than the services keep theirs, so that the gateway
		// and not the service closes an idle connection: no request
		// meets one that is just going away.
		IdleConnTimeout: 60 * time.Second,
	}
}

// do sends c and returns the answer, whatever its status, or the refusal of
// the pool or of the breaker, or a *failure.
func (u *upstream) do(ctx context.Context, c call) (answer, error) {
	timeout := u.timeout
	if c.within > 0 && c.within < timeout {
		timeout = c.within
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := u.pool.Enter(ctx, c.urgent); err != nil {
		return answer{}, err
	}
	defer u.pool.Leave(c.urgent)
	var a answer
	err := u.retry.Do(ctx, c.mayRepeat, func(ctx context.Context) error {
		return u.breaker.Do(ctx, func(ctx context.Context) error {
			var err error
			if a, err = u.send(ctx, &c); err != nil {
				return err
			}
			if a.status >= http.StatusInternalServerError {
				return errServer
			}
			return nil
		})
	})
	if errors.Is(err, errServer) {
		err = nil
	}
	return a, err
}

// answerTakes is kept back from the time that a service is given, for its
// answer to arrive in time.
const answerTakes = 10 * time.Millisecond

// send tries the replicas in turn until one has taken the request or all
// were found unreachable. What was sent and brought no answer is not for send
// to repeat.
func (u *upstream) send(ctx context.Context, c *call) (answer, error) {
	var last error
	for r := range u.order {
		a, sent, err := u.ask(ctx, r, c)
		if err == nil {
			return a, nil
		}
		last = fmt.Errorf("%s %s at %s: %w", c.method, u.name, r.addr, err)
		switch {
		case ctx.Err() == context.Canceled:
			return answer{}, &failure{hungUp, last}
		case sent && ctx.Err() == context.DeadlineExceeded:
			return answer{}, &failure{timedOut, last}
		case sent:
			return answer{}, &failure{broken, last}
		case ctx.Err() != nil:
			return answer{}, &failure{unreachable, last}
		}
	}
	return answer{}, &failure{unreachable, last}
}

// order yields the replicas in turn, those to avoid last.
func (u *upstream) order(yield func(*replica) bool) {
	first, now := int(u.turn.Add(1)), time.Now().UnixMicro()
	var few [32]*replica // so that those of most systems need no memory of their own
	var order []*replica
	if n := len(u.replicas); n <= len(few) {
		order = few[:n]
	} else {
		order = make([]*replica, n)
	}
	front, back := 0, len(order)
	for i := range order {
		r := &u.replicas[(first+i)%len(order)]
		if now < r.avoid.Load() {
			back--
			order[back] = r
		} else {
			order[front] = r
			front++
		}
	}
	for _, r := range order {
		if !yield(r) {
			return
		}
	}
}

// ask tries one replica. A kept connection that had ended says nothing
// about the replica, so it is tried again on another, a few times.
func (u *upstream) ask(ctx context.Context, r *replica, c *call) (a answer, sent bool, err error) {
	for range 3 {
		var reused bool
		a, sent, reused, err = u.try(ctx, r.addr, c)
		if err == nil || sent || ctx.Err() != nil {
			return a, sent, err
		}
		if !reused {
			r.avoid.Store(time.Now().Add(avoidFor).UnixMicro())
			break
		}
	}
	return a, sent, err
}

// exchange is all that one try needs, in one piece of memory: the transport may
// still be at it when the try is over, so that it cannot be used again.
type exchange struct {
	url    url.URL
	fields [3]string // values of header fields
	trace  httptrace.ClientTrace
	body   bytes.Reader

	conn   *markedConn // nil: none was had yet
	mark   int64       // its writes before this exchange
	reused bool
}

// gotConn is told of the connection, before anything is written to it.
func (x *exchange) gotConn(info httptrace.GotConnInfo) {
	x.conn, x.reused = info.Conn.(*markedConn), info.Reused
	x.mark = x.conn.writes.Load()
}

// blank is what requests are copied from: only so do they get their context.
var blank http.Request

// request is what is sent for c to the replica at addr.
func (x *exchange) request(ctx context.Context, addr string, c *call, header http.Header) *http.Request {
	x.url = url.URL{Scheme: "http", Host: addr, Path: c.url.Path, RawPath: c.url.RawPath, RawQuery: c.url.RawQuery}
	x.trace.GotConn = x.gotConn
	r := blank.WithContext(httptrace.WithClientTrace(ctx, &x.trace))
	r.Method, r.URL, r.Host, r.Header = c.method, &x.url, addr, header
	if len(c.body) > 0 {
		x.body.Reset(c.body)
		r.ContentLength = int64(len(c.body))
		r.Body = io.NopCloser(&x.body)
		// Only used where nothing was sent, see idempotencyKey.
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(c.body)), nil }
	}
	return r
}

// try makes one exchange with one replica. On an error, sent says whether
// any byte of the request may have left, reused whether an older connection
// was used.
func (u *upstream) try(ctx context.Context, addr string, c *call) (a answer, sent, reused bool, err error) {
	x := new(exchange)
	header := c.forTry()
	if deadline, ok := ctx.Deadline(); ok {
		left := max(0, time.Until(deadline)-answerTakes)
		x.fields[0] = strconv.FormatInt(left.Milliseconds(), 10)
		header[endpoint.TimeoutField] = x.fields[:1:1]
	}
	if x.fields[1] = u.identity.Token(u.name, time.Now()); x.fields[1] != "" {
		header[pki.TokenField] = x.fields[1:2:2]
	}
	if u.traced != http.RoundTripper(u.transport) {
		header[telemetry.TraceparentField] = x.fields[2:] // for the tracer to fill in
	}
	res, err := u.traced.RoundTrip(x.request(ctx, addr, c, header))
	if err != nil {
		return answer{}, x.conn.wroteSince(x.mark), x.reused, err
	}
	defer res.Body.Close()
	body, err := readAnswer(res)
	if err != nil {
		return answer{}, true, x.reused, err
	}
	return answer{status: res.StatusCode, header: res.Header, body: body}, true, x.reused, nil
}

func readAnswer(res *http.Response) ([]byte, error) {
	if res.ContentLength > answerLimit {
		return nil, fmt.Errorf("answer of %d bytes: more than %d", res.ContentLength, answerLimit)
	}
	if n := res.ContentLength; n >= 0 && res.Request.Method != http.MethodHead {
		body := make([]byte, n)
		_, err := io.ReadFull(res.Body, body)
		return body, err
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, answerLimit+1))
	if err == nil && len(body) > answerLimit {
		err = fmt.Errorf("answer of more than %d bytes", answerLimit)
	}
	return body, err
}

// markedConn counts writes before they are made.
type markedConn struct {
	net.Conn
	writes atomic.Int64
}

func (c *markedConn) Write(b []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(b)
}

// wroteSince ends the connection and says whether a write was begun since
// the mark. Closing first makes a no certain: a write that has not been
// counted by now can only fail.
func (c *markedConn) wroteSince(mark int64) bool {
	if c == nil { // no connection was had
		return false
	}
	c.Close()
	return c.writes.Load() != mark
}

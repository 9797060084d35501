package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ordbench/ordbench/system/endpoint"
	"github.com/ordbench/ordbench/system/resilience"
	"github.com/ordbench/ordbench/system/telemetry"
)

// turnstile refuses what has no chance before net/http gets to see it: to read
// a request there and to answer it costs twice as much as the two calls of the
// kernel that it takes anyway, and under overload most of what comes is refused.
//
// The answer is that of gateway.explain, but for a Date; the request has no
// span. Whatever is not whole, or has a word on its priority, is for the
// handler to refuse.
type turnstile struct {
	ask     func(resilience.Priority) error // the pool of the order service
	refused prometheus.Counter
	place   func(took time.Duration) // counts what it is told of
	read    func(took time.Duration)
	answer  []byte
	within  time.Duration // for the client to take it
	idle    time.Duration // and to ask again
}

func (g *gateway) turnstile(requests *telemetry.Requests) *turnstile {
	return &turnstile{
		ask:     g.order.pool.Refuses,
		refused: g.metrics.refused.WithLabelValues(byShedding),
		place:   requests.Counter(http.MethodPost+" "+ordersPath, http.StatusServiceUnavailable),
		read:    requests.Counter(http.MethodGet+" "+orderPath, http.StatusServiceUnavailable),
		answer: rawAnswer(endpoint.NewProblem(http.StatusServiceUnavailable, byShedding, shedDetail), false,
			http.Header{refusedBy: {byShedding}, "Retry-After": {seconds(shedRetry)}}),
		within: g.limits.readWithin,
		idle:   g.limits.idle,
	}
}

// rawAnswer is a problem as an answer of HTTP/1.1, the last of its connection or
// not.
func rawAnswer(p endpoint.Problem, last bool, header http.Header) []byte {
	text, _ := json.Marshal(p) // strings and a number
	text = append(text, '\n')
	header.Set("Content-Type", "application/problem+json")
	header.Set("Cache-Control", "no-store")
	answer := http.Response{
		StatusCode: p.Status, ProtoMajor: 1, ProtoMinor: 1, Close: last, Header: header,
		ContentLength: int64(len(text)), Body: io.NopCloser(bytes.NewReader(text)),
	}
	var b bytes.Buffer
	_ = answer.Write(&b) // to memory
	return b.Bytes()
}

var ordersPrefix = []byte(ordersPath + "/")

// refuses tells whether a request has no chance, and how that is counted.
func (t *turnstile) refuses(w whole) (count func(took time.Duration), yes bool) {
	var priority resilience.Priority
	switch id, one := bytes.CutPrefix(w.target, ordersPrefix); {
	case w.modest:
		return nil, false
	case string(w.method) == http.MethodPost && string(w.target) == ordersPath:
		count, priority = t.place, resilience.High
	case string(w.method) == http.MethodGet && one && all(id, inName):
		count, priority = t.read, resilience.Middle
	default:
		return nil, false
	}
	return count, errors.Is(t.ask(priority), resilience.ErrShed)
}

// stand is where a connection is, as far as its reads tell.
type stand int

const (
	unread  stand = iota // nothing has come yet
	handed               // one whole request has come, in one read, and nothing after it
	ahead                // and one byte of the next
	settled              // it has been answered, and nothing has come since
	unsure               // what comes next may be a part of something
)

// Read is that of the connection, without what the turnstile refuses.
func (c *watchedConn) Read(b []byte) (int, error) {
	for {
		n, err := c.TCPConn.Read(b)
		if n > 0 && c.refused(b[:n]) {
			continue
		}
		c.has(n, err)
		return n, err
	}
}

// refused takes note of what has come, and answers it if it is refused.
func (c *watchedConn) refused(b []byte) bool {
	switch c.stand {
	case unsure:
		return false
	case handed:
		// So net/http looks whether a client is still there, and a quick one
		// asks for more before it has stopped.
		if c.stand = unsure; len(b) == 1 {
			c.stand, c.first = ahead, b[0]
		}
		return false
	case ahead:
		b = append([]byte{c.first}, b...)
	}
	w, ok := readWhole(b)
	if ok && c.stand == settled && c.refuse(w) {
		return true
	}
	if c.stand = unsure; ok {
		c.stand = handed
	}
	return false
}

// refuse refuses a request, if it has no chance. A connection that does not take
// the answer ends with the next read.
func (c *watchedConn) refuse(w whole) bool {
	count, yes := c.turnstile.refuses(w)
	if !yes {
		return false
	}
	came := time.Now()
	_ = c.SetWriteDeadline(came.Add(c.turnstile.within))
	if _, err := c.TCPConn.Write(c.turnstile.answer); err != nil {
		_ = c.SetReadDeadline(came)
		return true
	}
	took := time.Since(came)
	count(took)
	c.turnstile.refused.Inc()
	_ = c.SetReadDeadline(came.Add(c.turnstile.idle))
	return true
}

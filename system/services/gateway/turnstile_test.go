package gateway

import (
	"bufio"
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/ordbench/ordbench/system/resilience"
	"github.com/ordbench/ordbench/system/telemetry"
)

// door is a server whose turnstile refuses what the test wants, and whose
// handler says what it got.
type door struct {
	addr      string
	turnstile *turnstile
	open      atomic.Bool // the pool would let everybody in
	headed    chan bool   // the handler has a header
	idle      chan bool   // net/http is through with a request
	registry  *prometheus.Registry
}

func newDoor(t testing.TB, change func(*limits)) *door {
	t.Helper()
	lim := defaultLimits()
	if change != nil {
		change(&lim)
	}
	d := &door{headed: make(chan bool, 100), idle: make(chan bool, 100), registry: prometheus.NewRegistry()}
	g, err := newGateway(Config{Orders: []string{"127.0.0.1:1"}, Timeout: time.Second}, lim, d.registry, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.close)
	d.turnstile = g.turnstile(telemetry.NewRequests(d.registry))
	d.turnstile.ask = func(resilience.Priority) error {
		if d.open.Load() {
			return nil
		}
		return resilience.ErrShed
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{
		ReadHeaderTimeout: lim.headerWithin, IdleTimeout: lim.idle,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			d.headed <- true
			body, _ := io.ReadAll(r.Body)
			io.WriteString(w, r.Method+" "+r.RequestURI+" "+string(body))
		}),
	}
	watch(srv)
	settle := srv.ConnState
	srv.ConnState = func(c net.Conn, state http.ConnState) {
		settle(c, state)
		if state == http.StateIdle {
			d.idle <- true
		}
	}
	go srv.Serve(watched{l, g.audit, d.turnstile})
	t.Cleanup(func() { srv.Close() })
	d.addr = l.Addr().String()
	return d
}

// reached waits until a request has come that far.
func reached(t testing.TB, point chan bool) {
	t.Helper()
	select {
	case <-point:
	case <-time.After(20 * time.Second):
		t.Fatal("no request reached net/http")
	}
}

// guest is one connection to a door.
type guest struct {
	t testing.TB
	d *door
	net.Conn
	answers *bufio.Reader
}

func (d *door) dial(t testing.TB) guest {
	t.Helper()
	c, err := net.Dial("tcp", d.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return guest{t, d, c, bufio.NewReader(c)}
}

func (c guest) write(raw string) {
	c.t.Helper()
	if _, err := io.WriteString(c, raw); err != nil {
		c.t.Fatal(err)
	}
}

// read is the next answer: "refused", or what the handler says.
func (c guest) read() string {
	c.t.Helper()
	res, err := http.ReadResponse(c.answers, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	if res.Header.Get(refusedBy) != "" {
		return "refused"
	}
	return strings.TrimSpace(string(body))
}

// want checks the next answer, and waits until net/http is through with it: a
// client that is quicker may find that it still looks for the next request.
func (c guest) want(want string) {
	c.t.Helper()
	if got := c.read(); got != want {
		c.t.Errorf("%q, want %q", got, want)
	} else if got != "refused" {
		reached(c.t, c.d.idle)
	}
}

const (
	aPlace = "POST /orders HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
	aRead  = "GET /orders/7 HTTP/1.1\r\nHost: x\r\n\r\n"
)

func TestTheTurnstileRefusesOrdersAndReadsOfThem(t *testing.T) {
	d := newDoor(t, nil)
	c := d.dial(t)
	c.write(aPlace)
	c.want("POST /orders {}") // the first of a connection is for net/http
	for range 3 {
		c.write(aPlace)
		c.want("refused")
	}
	c.write(aRead)
	c.want("refused")
	for _, other := range []string{
		"GET /stock/sku-0001", "POST /orders/7/cancel", "GET /orders", "GET /orders/", "GET /orders/7/x", "PUT /orders", "GET /openapi", "POST /orders/",
	} {
		c.write(other + " HTTP/1.1\r\nHost: x\r\n\r\n")
		c.want(other)
	}
	c.write("POST /orders HTTP/1.1\r\nHost: x\r\nPriority: u=1\r\nContent-Length: 2\r\n\r\n{}")
	c.want("POST /orders {}")
	c.write(aPlace)
	c.want("refused")
	d.open.Store(true)
	c.write(aPlace)
	c.want("POST /orders {}")
	d.open.Store(false)
	c.write(aPlace)
	c.want("refused")
	c.write("GET /stock/sku-0001 HTTP/1.1\r\nHost: x\r\n\r\n")
	c.want("GET /stock/sku-0001") // by now what was refused is counted

	text := httptest.NewRecorder()
	promhttp.HandlerFor(d.registry, promhttp.HandlerOpts{}).ServeHTTP(text, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for _, line := range []string{
		`ordbench_gateway_refused_total{by="shedding"} 6`,
		telemetry.MetricRequests + `{code="503",route="POST /orders"} 5`,
		telemetry.MetricRequests + `{code="503",route="GET /orders/{id}"} 1`,
	} {
		if !strings.Contains(text.Body.String(), line+"\n") {
			t.Errorf("no %s in %s", line, text.Body)
		}
	}
}

// A body that looks like a request is none, and neither is what follows it.
func TestTheTurnstileKeepsToTheStream(t *testing.T) {
	inBody := "POST /orders HTTP/1.1\r\nHost: x\r\nContent-Length: " + strconv.Itoa(len(aPlace)) + "\r\n\r\n"
	d := newDoor(t, nil)
	t.Run("after a header", func(t *testing.T) {
		c := d.dial(t)
		c.write(aPlace)
		c.want("POST /orders {}")
		reached(t, d.headed)
		c.write(inBody)
		reached(t, d.headed) // it waits for the body
		c.write(aPlace)
		c.want("POST /orders " + aPlace)
		c.write(aPlace)
		c.want("POST /orders {}")
		reached(t, d.headed)
	})
	t.Run("in the first request", func(t *testing.T) {
		c := d.dial(t)
		c.write(inBody)
		reached(t, d.headed)
		c.write(aPlace)
		c.want("POST /orders " + aPlace)
		c.write(aPlace)
		c.want("POST /orders {}")
		reached(t, d.headed)
	})
	t.Run("two at once", func(t *testing.T) {
		c := d.dial(t)
		c.write(aRead + inBody)
		c.want("GET /orders/7")
		c.write(aPlace)
		c.want("POST /orders " + aPlace)
		c.write(aPlace)
		c.want("POST /orders {}")
	})
	t.Run("two at once, later", func(t *testing.T) {
		c := d.dial(t)
		c.write(aPlace)
		c.want("POST /orders {}")
		c.write(aRead + aPlace)
		c.want("GET /orders/7")
		c.want("POST /orders {}")
		c.write(aRead + inBody)
		c.want("GET /orders/7")
		c.write(aPlace)
		c.want("POST /orders " + aPlace)
		c.write(inBody + aPlace + aRead)
		c.want("POST /orders " + aPlace)
		c.want("GET /orders/7")
	})
}

// A client that is quicker than net/http is served, and known again after that.
func TestTheTurnstileFindsTheStreamAgain(t *testing.T) {
	d := newDoor(t, nil)
	c := d.dial(t)
	for refused := false; !refused; {
		c.write(aPlace)
		got := c.read()
		refused = got == "refused"
		if !refused && got != "POST /orders {}" {
			t.Fatal(got)
		}
	}
	// By hand, what is luck above.
	conn := &watchedConn{stand: handed}
	for _, bytes := range []string{aRead[:1], aRead[1:]} {
		if conn.refused([]byte(bytes)) {
			t.Error("a part of a request is refused")
		}
	}
	if conn.stand != handed {
		t.Errorf("stand %d", conn.stand)
	}
}

// A connection is given the times that net/http gives it.
func TestTheTurnstileKeepsToTheDeadlines(t *testing.T) {
	t.Run("of a header", func(t *testing.T) {
		c := newDoor(t, func(l *limits) { l.headerWithin = 500 * time.Millisecond }).dial(t)
		c.write(aRead)
		c.want("GET /orders/7")
		c.write(aRead)
		c.want("refused")
		c.write("GET /orders/7 HTTP/1.1\r\nHost")
		res, err := http.ReadResponse(c.answers, nil)
		if err != nil || res.StatusCode != http.StatusRequestTimeout {
			t.Errorf("%v, %v", res, err)
		}
	})
	t.Run("of a client that asks for nothing more", func(t *testing.T) {
		c := newDoor(t, func(l *limits) { l.idle = time.Second }).dial(t)
		c.write(aRead)
		c.want("GET /orders/7")
		for begun := time.Now(); time.Since(begun) < 1500*time.Millisecond; {
			c.write(aRead)
			c.want("refused")
		}
		if rest, err := io.ReadAll(c.answers); len(rest) > 0 || err != nil {
			t.Errorf("%q, %v; want the connection closed", rest, err)
		}
	})
}

func TestTheTurnstileAnswersAsTheHandlerDoes(t *testing.T) {
	d := newDoor(t, nil)
	g, err := newGateway(Config{Orders: []string{"127.0.0.1:1"}, Timeout: time.Second}, defaultLimits(), prometheus.NewRegistry(), nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.close)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { g.explain(w, r, g.order, resilience.ErrShed) }))
	t.Cleanup(srv.Close)
	handled, err := http.Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	want, err := io.ReadAll(handled.Body)
	if err != nil {
		t.Fatal(err)
	}
	refused, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(d.turnstile.answer)), nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(refused.Body)
	if err != nil {
		t.Fatal(err)
	}
	handled.Header.Del("Date")
	if refused.StatusCode != handled.StatusCode || !bytes.Equal(got, want) || !reflect.DeepEqual(refused.Header, handled.Header) {
		t.Errorf("%s %v %s\nwant %s %v %s", refused.Status, refused.Header, got, handled.Status, handled.Header, want)
	}
}

// What a refusal takes beside the calls of the kernel.
func BenchmarkTurnstile(b *testing.B) {
	d := newDoor(b, nil)
	raw := []byte("POST /orders HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Type: application/json\r\nAccept: */*\r\nUser-Agent: bench\r\n" +
		"Idempotency-Key: 0192f0c1-aaaa-7bbb-8ccc-dddddddddddd\r\nAuthorization: Bearer none\r\nContent-Length: 2\r\n\r\n{}")
	b.ReportAllocs()
	for b.Loop() {
		w, ok := readWhole(raw)
		count, refused := d.turnstile.refuses(w)
		if !ok || !refused {
			b.Fatal("let in")
		}
		count(time.Microsecond)
	}
}

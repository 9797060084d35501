package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ordbench/ordbench/system/endpoint"
)

// abort ends the connection of a request that was read: with a reset, or as
// if the process had closed it.
func abort(w http.ResponseWriter, reset bool) {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	if reset {
		c.(*net.TCPConn).SetLinger(0)
	}
	c.Close()
}

func hang(_ http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body) // only then does net/http watch the connection
	<-r.Context().Done()
}

func TestAnswersForEachFailureOfAnUpstream(t *testing.T) {
	for _, row := range []struct {
		name    string
		service http.HandlerFunc // nil: nothing listens
		timeout time.Duration
		status  int
		refused string
		problem string // "" if the service's own answer passes
		body    string
	}{
		{"refused is certainly not processed", nil, 0,
			503, byUnreachable, byUnreachable, ""},
		{"reset after the request was read is unknown",
			func(w http.ResponseWriter, r *http.Request) { abort(w, true) }, 0,
			502, "", "broken", ""},
		{"closed without an answer is unknown",
			func(w http.ResponseWriter, r *http.Request) { abort(w, false) }, 0,
			502, "", "broken", ""},
		{"an answer torn in its header is unknown",
			func(w http.ResponseWriter, r *http.Request) {
				c, _, _ := http.NewResponseController(w).Hijack()
				io.WriteString(c, "HTTP/1.1 202 Accepted\r\nContent-Le")
				c.Close()
			}, 0,
			502, "", "broken", ""},
		{"an answer torn in its body is not passed on as a whole",
			func(w http.ResponseWriter, r *http.Request) {
				c, _, _ := http.NewResponseController(w).Hijack()
				io.WriteString(c, "HTTP/1.1 202 Accepted\r\nContent-Length: 100\r\n\r\n{\"order_id\"")
				c.Close()
			}, 0,
			502, "", "broken", ""},
		{"what is not HTTP is unknown",
			func(w http.ResponseWriter, r *http.Request) {
				c, _, _ := http.NewResponseController(w).Hijack()
				io.WriteString(c, "+PONG\r\n")
				c.Close()
			}, 0,
			502, "", "broken", ""},
		{"an answer without end is cut off",
			func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(http.StatusOK)
				for chunk := make([]byte, 1<<16); ; {
					if _, err := w.Write(chunk); err != nil {
						return
					}
				}
			}, 0,
			502, "", "broken", ""},
		{"no answer in time is unknown", hang, 500 * time.Millisecond,
			504, "", "timeout", ""},
		{"half an answer in time is unknown",
			func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Length", "100")
				w.WriteHeader(http.StatusAccepted)
				http.NewResponseController(w).Flush()
				hang(w, r)
			}, 500 * time.Millisecond,
			504, "", "timeout", ""},
		{"a 5xx passes as it is",
			func(w http.ResponseWriter, r *http.Request) {
				http.Error(w, "disk full", http.StatusInternalServerError)
			}, 0,
			500, "", "", "disk full\n"},
		{"a service may refuse by itself",
			func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set(refusedBy, "shedding")
				http.Error(w, "too much", http.StatusServiceUnavailable)
			}, 0,
			503, "shedding", "", "too much\n"},
		{"a 4xx passes as it is",
			func(w http.ResponseWriter, r *http.Request) {
				http.Error(w, "another payload", http.StatusUnprocessableEntity)
			}, 0,
			422, "", "", "another payload\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			addr := hold(t)
			var hits atomic.Int32
			if row.service != nil {
				addr = service(t, func(w http.ResponseWriter, r *http.Request) {
					hits.Add(1)
					row.service(w, r)
				})
			}
			e := start(t, []string{addr}, func(c *Config, _ *limits) {
				if row.timeout > 0 {
					c.Timeout = row.timeout
				}
			})
			got := post(t, e, order, "Idempotency-Key", "k1")
			if by := got.header.Get(refusedBy); by != row.refused {
				t.Errorf("%s: %q, want %q", refusedBy, by, row.refused)
			}
			if row.problem == "" {
				if got.status != row.status || got.body != row.body {
					t.Errorf("%d %q, want %d %q", got.status, got.body, row.status, row.body)
				}
			} else {
				p := wantProblem(t, got, row.status, row.problem)
				if unknown := strings.Contains(p.Detail, "is unknown"); unknown == (row.refused != "") {
					t.Errorf("detail %q does not say what is known", p.Detail)
				}
			}
			if retry := got.header.Get("Retry-After"); (retry != "") != (row.refused == byUnreachable) {
				t.Errorf("Retry-After: %q", retry)
			}
			if n := hits.Load(); row.service != nil && n != 1 {
				t.Errorf("the service saw the order %d times", n)
			}
		})
	}
}

// net/http itself repeats a POST that carries an Idempotency-Key when a kept
// connection breaks. The gateway must not: it has no budget for that.
func TestOrderIsNotRepeatedOnAKeptConnection(t *testing.T) {
	var hits atomic.Int32
	e := start(t, []string{service(t, func(w http.ResponseWriter, r *http.Request) {
		if hits.Add(1) > 1 {
			abort(w, true)
			return
		}
		accept(w, r)
	})}, nil)
	if got := post(t, e, order, "Idempotency-Key", "k1"); got.status != 202 {
		t.Fatalf("first order: %+v", got)
	}
	wantProblem(t, post(t, e, order, "Idempotency-Key", "k2"), 502, "broken")
	if n := hits.Load(); n != 2 {
		t.Errorf("the service saw %d requests, want 2", n)
	}
}

func TestRefusedReplicasAreSkippedInTurn(t *testing.T) {
	var hits [2]atomic.Int32
	replica := func(i int) string {
		return service(t, func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			if string(b) != order {
				t.Errorf("replica %d got body %q", i, b)
			}
			hits[i].Add(1)
			accept(w, r)
		})
	}
	e := start(t, []string{replica(0), hold(t), replica(1)}, func(c *Config, _ *limits) { c.Breaker.Failures = 1 })
	for range 12 {
		if got := post(t, e, order); got.status != 202 {
			t.Fatalf("%+v", got)
		}
	}
	if a, b := hits[0].Load(), hits[1].Load(); a+b != 12 || a == 0 || b == 0 {
		t.Errorf("replicas took %d and %d of 12", a, b)
	}
}

func TestAvoidedReplicasComeLastAndAreStillTried(t *testing.T) {
	u := &upstream{replicas: make([]replica, 4)}
	for i := range u.replicas {
		u.replicas[i].addr = string(rune('a' + i))
	}
	u.replicas[1].avoid.Store(time.Now().Add(time.Hour).UnixMicro())
	firsts := map[string]int{}
	for range 8 {
		order := slices.Collect(u.order)
		if len(order) != 4 || order[3].addr != "b" {
			t.Fatalf("%d replicas, last %s; want b last", len(order), order[len(order)-1].addr)
		}
		firsts[order[0].addr]++
	}
	if firsts["a"] == 0 || firsts["c"] == 0 || firsts["d"] == 0 {
		t.Errorf("first were %v, want each of a, c, d", firsts)
	}
	// The only replica is asked again as soon as it is back.
	addr := hold(t)
	e := start(t, []string{addr}, nil)
	wantProblem(t, post(t, e, order), 503, byUnreachable)
	l, err := endpoint.Listen(context.Background(), addr)
	if err != nil {
		t.Fatal(err)
	}
	back := &http.Server{Handler: http.HandlerFunc(accept)}
	go back.Serve(l)
	defer back.Close()
	if got := post(t, e, order); got.status != 202 {
		t.Errorf("after it came back: %+v", got)
	}
}

func TestUnknownOutcomeIsNotTriedOnAnotherReplica(t *testing.T) {
	var hits atomic.Int32
	torn := func(w http.ResponseWriter, r *http.Request) { hits.Add(1); abort(w, false) }
	e := start(t, []string{service(t, torn), service(t, torn)}, nil)
	wantProblem(t, post(t, e, order), 502, "broken")
	if n := hits.Load(); n != 1 {
		t.Errorf("%d replicas saw the order, want 1", n)
	}
}

func TestOpenBreakerRefusesWithoutAsking(t *testing.T) {
	var hits atomic.Int32
	e := start(t, []string{service(t, func(w http.ResponseWriter, _ *http.Request) {
		hits.Add(1)
		http.Error(w, "ill", http.StatusInternalServerError)
	})}, func(c *Config, _ *limits) { c.Breaker.Failures = 3 })
	for range 3 {
		if got := post(t, e, order); got.status != 500 {
			t.Fatalf("%+v", got)
		}
	}
	got := post(t, e, order)
	wantProblem(t, got, 503, byBreaker)
	if got.header.Get(refusedBy) != byBreaker || got.header.Get("Retry-After") != "3600" {
		t.Errorf("%s: %q, Retry-After: %q", refusedBy, got.header.Get(refusedBy), got.header.Get("Retry-After"))
	}
	if n := hits.Load(); n != 3 {
		t.Errorf("the service was asked %d times, want 3", n)
	}
}

func TestClientErrorsNeverOpenTheBreaker(t *testing.T) {
	e := start(t, []string{service(t, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "no such order", http.StatusNotFound)
	})}, func(c *Config, _ *limits) { c.Breaker.Failures = 1 })
	for range 10 {
		if got := ask(t, e, "GET", "/orders/1", ""); got.status != 404 {
			t.Fatalf("%+v", got)
		}
	}
}

func TestBreakerSwitchedOffAlwaysAsks(t *testing.T) {
	e := start(t, []string{hold(t)}, func(c *Config, _ *limits) { c.Breaker.Enabled, c.Breaker.Failures = false, 1 })
	for range 5 {
		wantProblem(t, post(t, e, order), 503, byUnreachable)
	}
}

func TestClientsThatHangUpDoNotOpenTheBreaker(t *testing.T) {
	arrived := make(chan struct{})
	gone := make(chan struct{})
	e := start(t, []string{service(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			arrived <- struct{}{}
			hang(w, r)
			gone <- struct{}{}
			return
		}
		accept(w, r)
	})}, func(c *Config, _ *limits) { c.Breaker.Failures = 1 })
	for range 3 {
		ctx, cancel := context.WithCancel(context.Background())
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url+"/orders", strings.NewReader(order))
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() {
			_, err := client.Do(req)
			done <- err
		}()
		<-arrived
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("%v, want canceled", err)
		}
		<-gone // the service is told
	}
	if got := ask(t, e, "GET", "/orders/1", ""); got.status != 202 {
		t.Errorf("after clients hung up: %+v", got)
	}
}

// Whoever has ended its sending half may still read: no answer must not look
// like one that says that all is well.
func TestWhoIsTakenToHaveHungUpIsNotToldThatAllIsWell(t *testing.T) {
	e := start(t, []string{service(t, hang)}, nil)
	c, err := net.Dial("tcp", strings.TrimPrefix(e.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "POST /orders HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(order), order)
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, _ := io.ReadAll(c); len(got) > 0 { // a reset is an end too
		t.Errorf("%q, want no answer", got)
	}
}

func TestEndFinishesWhatWasBegun(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	e := start(t, []string{service(t, func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-release
		accept(w, r)
	})}, nil)
	answered := make(chan reply, 1)
	go func() { answered <- post(t, e, order) }()
	<-arrived
	e.stop()
	for { // until the API takes nothing new
		c, err := net.Dial("tcp", strings.TrimPrefix(e.url, "http://"))
		if err != nil {
			break
		}
		c.Close()
	}
	if got := ask(t, &edge{url: e.admin}, "GET", "/readyz", ""); got.status != 503 || got.body != "stopping\n" {
		t.Errorf("readiness while stopping: %+v", got)
	}
	close(release)
	if got := <-answered; got.status != 202 {
		t.Errorf("the order in flight: %+v", got)
	}
	err := <-e.ended
	e.ended <- err
	if err != nil {
		t.Errorf("end: %v", err)
	}
}

func TestTakenAddressIsAnErrorAtOnce(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, which := range []string{"listen", "admin"} {
		cfg := Config{Replica: "gateway-0", Listen: "127.0.0.1:0", Admin: "127.0.0.1:0",
			Orders: []string{"127.0.0.1:1"}, Inventories: []string{"127.0.0.1:1"}, Timeout: time.Second, Grace: time.Second}
		if which == "listen" {
			cfg.Listen = taken.Addr().String()
		} else {
			cfg.Admin = taken.Addr().String()
		}
		err := Run(context.Background(), cfg, nil)
		if err == nil || !strings.Contains(err.Error(), taken.Addr().String()) {
			t.Errorf("%s taken: %v, want the address in the error", which, err)
		}
	}
}

// A no of wroteSince is a promise that nothing will be sent later either.
func TestNothingIsWrittenAfterItWasDenied(t *testing.T) {
	a, b := net.Pipe()
	defer b.Close()
	c := &markedConn{Conn: a}
	if c.wroteSince(c.writes.Load()) {
		t.Error("a write was seen that was none")
	}
	if _, err := c.Write([]byte("POST")); err == nil {
		t.Error("a write went through after it was denied")
	}
	if !c.wroteSince(0) {
		t.Error("an attempted write must count: it may have been sent in part")
	}
}

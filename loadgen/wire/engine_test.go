package wire

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ordbench/ordbench/loadgen"
)

// run plays plan with engine e and the orders of a shop.
func run(t *testing.T, ctx context.Context, e loadgen.Engine, plan loadgen.Plan, grace time.Duration) *loadgen.OpReport {
	t.Helper()
	report, err := loadgen.New(loadgen.Config{Plan: plan, Workload: orders(t), Engine: e, Grace: grace}).Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return report.Phases[0].Ops["place_order"]
}

func TestCallsThatWaitForAConnectionCountFromDue(t *testing.T) {
	eachSynthetic(t, func(t *testing.T, open engine) {
		net := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(time.Second)
			accept(w)
		}))
		// Two calls a second on a connection that serves one: call i is due
		// at i/2 and done at i+1.
		o := run(t, t.Context(), open(Config{Connections: 1, Timeout: time.Minute, Dial: net.dial}),
			one(loadgen.Constant{PerSecond: 2}, 5*time.Second), 0)
		if o.Counts.OK != 10 || o.Queued != 9 {
			t.Errorf("%+v, %d queued; want 10 ok, 9 queued", o.Counts, o.Queued)
		}
		if p50, most := o.Response.ValueAtQuantile(50), o.Response.Max(); p50/10_000 != 300 || most/10_000 != 550 {
			t.Errorf("response p50 %d us, max %d us; want 3 s and 5.5 s", p50, most)
		}
		if most := o.Service.Max(); most/10_000 != 100 {
			t.Errorf("service max %d us, want 1 s", most)
		}
		if o.Slip.Max() > 0 {
			t.Errorf("slip %d us, want none", o.Slip.Max())
		}
	})
}

func TestCallsThatWaitTooLongAreDropped(t *testing.T) {
	eachSynthetic(t, func(t *testing.T, open engine) {
		net := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(1900 * time.Millisecond)
			accept(w)
		}))
		// The call of second 0 is done at 1.9 and that of second 1 at 3.8;
		// that of second 2 is past its 1.8 s then... and so on.
		o := run(t, t.Context(), open(Config{Connections: 1, Timeout: 1950 * time.Millisecond, Dial: net.dial}),
			one(loadgen.Constant{PerSecond: 10}, 10*time.Second), 0)
		if o.Counts.OK+o.Counts.Dropped != 100 || o.Counts.OK < 6 || o.Counts.OK > 7 {
			t.Errorf("%+v, want 6 or 7 ok, the others dropped", o.Counts)
		}
		if o.Reasons["no-connection"] != o.Counts.Dropped {
			t.Errorf("reasons %v", o.Reasons)
		}
		// What was dropped waited for 1.95 s, and no quantile hides it.
		if p50 := o.Response.ValueAtQuantile(50); p50/10_000 != 195 {
			t.Errorf("response p50 %d us, want 1.95 s", p50)
		}
	})
}

func TestStopGivesWhatIsInFlightItsGrace(t *testing.T) {
	for _, c := range []struct {
		name    string
		service time.Duration
		want    loadgen.Counts
		end     time.Duration
	}{
		// At 3.0005 s calls 0 to 300 were due; call 301 was not.
		{"answers within the grace count", 3500 * time.Millisecond, loadgen.Counts{Scheduled: 301, OK: 4, Dropped: 297}, 3530 * time.Millisecond},
		{"the others are unfinished", time.Hour, loadgen.Counts{Scheduled: 301, Unfinished: 4, Dropped: 297}, 4000500 * time.Microsecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachSynthetic(t, func(t *testing.T, open engine) {
				net := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					select {
					case <-time.After(c.service):
						accept(w)
					case <-r.Context().Done():
					}
				}))
				ctx, cancel := context.WithTimeout(t.Context(), 3000500*time.Microsecond)
				defer cancel()
				start := time.Now()
				o := run(t, ctx, open(Config{Connections: 4, Timeout: 10 * time.Second, Dial: net.dial}),
					one(loadgen.Constant{PerSecond: 100}, time.Hour), time.Second)
				if o.Counts != c.want {
					t.Errorf("%+v, want %+v", o.Counts, c.want)
				}
				if took := time.Since(start); took != c.end {
					t.Errorf("ended at %v, want %v", took, c.end)
				}
			})
		})
	}
}

func TestStopWhileNothingIsDue(t *testing.T) {
	eachSynthetic(t, func(t *testing.T, open engine) {
		net := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { accept(w) }))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		o := run(t, ctx, open(Config{Connections: 4, Dial: net.dial}),
			one(loadgen.Constant{PerSecond: 1e-3}, time.Hour), time.Second)
		if want := (loadgen.Counts{Scheduled: 1, OK: 1}); o.Counts != want || time.Since(start) != time.Minute {
			t.Errorf("%+v after %v, want %+v after 1m0s", o.Counts, time.Since(start), want)
		}
	})
}

func TestTimeoutCountsFromSending(t *testing.T) {
	eachSynthetic(t, func(t *testing.T, open engine) {
		net := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
		o := run(t, t.Context(), open(Config{Connections: 10, Timeout: 2 * time.Second, Dial: net.dial}),
			one(loadgen.Constant{PerSecond: 2}, 5*time.Second), 0)
		if want := (loadgen.Counts{Scheduled: 10, Timeout: 10}); o.Counts != want {
			t.Errorf("%+v, want %+v", o.Counts, want)
		}
		if us := o.Service.ValueAtQuantile(50); us/10_000 != 200 {
			t.Errorf("service %d us, want 2 s", us)
		}
	})
}

func TestSameSeedSendsTheSameRequests(t *testing.T) {
	first := map[uint64]string{}
	for _, seed := range []uint64{1, 1, 2} {
		eachSynthetic(t, func(t *testing.T, open engine) {
			var (
				mu  sync.Mutex
				all []string
			)
			start := time.Now()
			net := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				all = append(all, strings.Join([]string{
					time.Since(start).String(), r.Method, r.URL.Path, r.Header.Get("Idempotency-Key"), r.Header.Get("X-Forwarded-For"), string(body),
				}, " "))
				mu.Unlock()
				accept(w)
			}))
			plan := one(loadgen.Poisson{Mean: loadgen.Constant{PerSecond: 100}}, 5*time.Second)
			plan.Seed = seed
			run(t, t.Context(), open(Config{Dial: net.dial}), plan, 0)
			sent := strings.Join(all, "\n")
			if first[seed] == "" {
				first[seed] = sent
			}
			if sent != first[seed] || len(all) < 400 {
				t.Errorf("%d requests that differ from those before, of another run or engine", len(all))
			}
		})
	}
	if first[1] == first[2] {
		t.Error("another seed sent the same requests")
	}
}

// attempt sends a single call with e, and gives what the engine saw of it.
func attempt(t *testing.T, e loadgen.Engine, calls ...loadgen.Call) []loadgen.Reply {
	t.Helper()
	s := &single{calls: calls}
	if err := e.Run(t.Context(), loadgen.Job{Start: time.Now(), Calls: s, Replies: s}); err != nil {
		t.Fatal(err)
	}
	return s.replies
}

// single is a Source of given calls and a Sink that keeps the replies.
type single struct {
	calls   []loadgen.Call
	replies []loadgen.Reply
}

func (s *single) Next(c *loadgen.Call) bool {
	if len(s.calls) == 0 {
		return false
	}
	*c, s.calls = s.calls[0], s.calls[1:]
	return true
}

func (s *single) Done(_ *loadgen.Call, r *loadgen.Reply) { s.replies = append(s.replies, *r) }

func get(path string) loadgen.Call { return loadgen.Call{Method: "GET", Path: []byte(path)} }

func TestRedirectIsAnAnswer(t *testing.T) {
	eachEngine(t, func(t *testing.T, open engine) {
		var asked atomic.Int64
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}))
		defer srv.Close()
		t.Setenv("HTTP_PROXY", "http://127.0.0.1:1") // not used either
		r := attempt(t, open(Config{BaseURL: srv.URL, Connections: 1}), get("/orders"))[0]
		if r.Status != 307 || r.Failure != loadgen.None || asked.Load() != 1 || r.Header("Location") != "/elsewhere" {
			t.Errorf("%+v after %d requests, want one 307", r, asked.Load())
		}
	})
}

func TestPathsArriveAsTheyAre(t *testing.T) {
	eachEngine(t, func(t *testing.T, open engine) {
		for _, c := range []struct{ base, path, want string }{
			{"", "/orders", "/orders"},
			{"/shop", "/orders/o-1", "/shop/orders/o-1"},
			{"", "/orders?page=2&size=10", "/orders?page=2&size=10"},
			{"/a%20b", "/c d", "/a%20b/c%20d"},
			{"/shop", "/stock/a%2Fb?x=%20", "/shop/stock/a%2Fb?x=%20"},
		} {
			got := make(chan string, 1)
			srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				got <- r.RequestURI
			}))
			attempt(t, open(Config{BaseURL: srv.URL + c.base, Connections: 1}), get(c.path))
			srv.Close()
			if uri := <-got; uri != c.want {
				t.Errorf("%s%s arrived as %s, want %s", c.base, c.path, uri, c.want)
			}
		}
	})
}

func TestTLS(t *testing.T) {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { accept(w) }))
	defer srv.Close()
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	e := New(Config{BaseURL: srv.URL, Connections: 1, TLS: &tls.Config{RootCAs: roots}})
	for _, r := range attempt(t, e, get("/"), get("/")) {
		if r.Status != 202 || r.Failure != loadgen.None {
			t.Errorf("%+v, want 202", r)
		}
	}
	r := attempt(t, New(Config{BaseURL: srv.URL, Connections: 1}), get("/"))[0]
	if r.Failure != loadgen.Refused || r.Err == nil {
		t.Errorf("without the root: %+v, want refused, because no request was written", r)
	}
}

func TestHTTP2(t *testing.T) {
	for _, c := range []struct {
		name   string
		secure bool
	}{{"agreed on over TLS", true}, {"known before in cleartext", false}} {
		t.Run(c.name, func(t *testing.T) {
			var conns sync.Map
			srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				conns.Store(r.RemoteAddr, true)
				if body, _ := io.ReadAll(r.Body); r.ProtoMajor != 2 || string(body) != "{}" {
					t.Errorf("%q over %s, want HTTP/2", body, r.Proto)
				}
				accept(w)
			}))
			srv.Config.Protocols = new(http.Protocols)
			srv.Config.Protocols.SetHTTP1(true)
			srv.Config.Protocols.SetUnencryptedHTTP2(true)
			cfg := Config{Connections: 1, HTTP2: true}
			if c.secure {
				srv.EnableHTTP2 = true
				srv.Config.Protocols.SetHTTP2(true)
				srv.StartTLS()
				roots := x509.NewCertPool()
				roots.AddCert(srv.Certificate())
				cfg.TLS = &tls.Config{RootCAs: roots}
			} else {
				srv.Start()
			}
			defer srv.Close()
			cfg.BaseURL = srv.URL
			post := loadgen.Call{Method: "POST", Path: []byte("/orders"), Body: []byte("{}")}
			for _, r := range attempt(t, New(cfg), post, post, post) {
				if r.Status != 202 || r.Failure != loadgen.None {
					t.Errorf("%+v, want 202", r)
				}
			}
			n := 0
			conns.Range(func(_, _ any) bool { n++; return true })
			if n != 1 {
				t.Errorf("%d connections, want one", n)
			}
		})
	}
	t.Run("refused by a target that speaks only HTTP/1.1", func(t *testing.T) {
		srv := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			t.Error("a request arrived")
		}))
		defer srv.Close()
		roots := x509.NewCertPool()
		roots.AddCert(srv.Certificate())
		r := attempt(t, New(Config{BaseURL: srv.URL, Connections: 1, HTTP2: true, TLS: &tls.Config{RootCAs: roots}}), get("/"))[0]
		if r.Failure != loadgen.Refused || r.Err == nil {
			t.Errorf("failure %d, error %v; want refused", r.Failure, r.Err)
		}
	})
}

// rawServer gives each connection to serve, with its number from 0.
func rawServer(t *testing.T, serve func(n int, c net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var open sync.WaitGroup
	open.Go(func() {
		for n := 0; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			open.Go(func() {
				defer c.Close()
				serve(n, c)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		open.Wait()
	})
	return "http://" + l.Addr().String()
}

const okAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// readRequest reads one request to its end.
func readRequest(in *bufio.Reader) (*http.Request, error) {
	req, err := http.ReadRequest(in)
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(io.Discard, req.Body)
	return req, err
}

func TestFailuresAreToldApart(t *testing.T) {
	answer := func(text string) func(int, net.Conn) {
		return func(_ int, c net.Conn) {
			if _, err := readRequest(bufio.NewReader(c)); err == nil {
				io.WriteString(c, text)
			}
		}
	}
	for _, c := range []struct {
		name    string
		serve   func(int, net.Conn)
		failure loadgen.Failure
		status  int
	}{
		{"a whole answer", answer(okAnswer), loadgen.None, 200},
		{"a chunked answer", answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"), loadgen.None, 200},
		{"an answer that ends with its connection", answer("HTTP/1.0 200 OK\r\n\r\nok"), loadgen.None, 200},
		{"closed without an answer", answer(""), loadgen.Broken, 0},
		{"half a header", answer("HTTP/1.1 202 Acc"), loadgen.Broken, 0},
		{"half a body", answer("HTTP/1.1 202 Accepted\r\nContent-Length: 50\r\n\r\n{\"order_id\""), loadgen.Broken, 202},
		{"half a chunk", answer("HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"), loadgen.Broken, 202},
		{"garbage", answer("\x00\x01\x02 what?\r\n\r\n"), loadgen.Broken, 0},
		{"an endless answer", answer("HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat("x", maxBody+1)), loadgen.Broken, 200},
		{"a reset", func(_ int, c net.Conn) {
			readRequest(bufio.NewReader(c))
			c.(*net.TCPConn).SetLinger(0)
		}, loadgen.Broken, 0},
		{"silence", func(_ int, c net.Conn) { io.Copy(io.Discard, c) }, loadgen.TimedOut, 0},
		{"silence in the body", func(_ int, c net.Conn) {
			in := bufio.NewReader(c)
			readRequest(in)
			io.WriteString(c, "HTTP/1.1 202 Accepted\r\nContent-Length: 50\r\n\r\n{")
			io.Copy(io.Discard, in)
		}, loadgen.TimedOut, 202},
	} {
		t.Run(c.name, func(t *testing.T) {
			timeout := time.Minute
			if c.failure == loadgen.TimedOut {
				timeout = 50 * time.Millisecond
			}
			eachEngine(t, func(t *testing.T, open engine) {
				e := open(Config{BaseURL: rawServer(t, c.serve), Connections: 1, Timeout: timeout})
				r := attempt(t, e, loadgen.Call{Method: "POST", Path: []byte("/"), Body: []byte("{}")})[0]
				if r.Failure != c.failure || r.Status != c.status || (r.Err == nil) != (c.failure == loadgen.None) || (r.Header == nil) != (c.status == 0) {
					t.Errorf("failure %d, status %d, error %v; want %d, %d", r.Failure, r.Status, r.Err, c.failure, c.status)
				}
			})
		})
	}
}

// What comes behind an answer and was not asked for is not the answer to the
// next call, even where the answer ends exactly where the memory for it does,
// and even for a call that is due already.
func TestNobodyTakesTheAnswerThatNobodyAskedFor(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nContent-Length: 4000\r\nX: "
	pad := strings.Repeat("x", firstRead-4000-len(head)-len("\r\n\r\n"))
	whole := head + pad + "\r\n\r\n" + strings.Repeat("b", 4000)
	const nobodyAsked = "HTTP/1.1 500 Nobody asked\r\nContent-Length: 0\r\n\r\n"
	for _, c := range []struct {
		name, answer string
		body         int
		reused       bool
	}{
		{"nothing behind it", whole, 4000, true},
		{"an answer behind it", whole + nobodyAsked, 4000, false},
		{"an answer behind a short one", okAnswer + nobodyAsked, 2, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachEngine(t, func(t *testing.T, open engine) {
				var conns atomic.Int64
				url := rawServer(t, func(_ int, conn net.Conn) {
					conns.Add(1)
					in := bufio.NewReader(conn)
					for {
						if _, err := readRequest(in); err != nil {
							return
						}
						if _, err := io.WriteString(conn, c.answer); err != nil {
							return
						}
					}
				})
				calls := make([]loadgen.Call, 300)
				for i := range calls {
					calls[i] = get("/")
				}
				for i, r := range attempt(t, open(Config{BaseURL: url, Connections: 1}), calls...) {
					if r.Status != 200 || len(r.Body) != c.body {
						t.Errorf("call %d: status %d, %d bytes, error %v", i, r.Status, len(r.Body), r.Err)
					}
				}
				want := int64(1)
				if !c.reused {
					want = int64(len(calls))
				}
				if n := conns.Load(); n != want {
					t.Errorf("%d connections, want %d", n, want)
				}
			})
		})
	}
}

// deadAddr is an address where nobody listens, and nobody will: it is taken
// by the near end of a connection.
func deadAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		l.Close()
	})
	return c.LocalAddr().String()
}

func TestRefusedConnection(t *testing.T) {
	eachEngine(t, func(t *testing.T, open engine) {
		r := attempt(t, open(Config{BaseURL: "http://" + deadAddr(t), Connections: 1}), get("/"))[0]
		if r.Failure != loadgen.Refused || !errors.Is(r.Err, syscall.ECONNREFUSED) {
			t.Errorf("failure %d, error %v; want connection refused", r.Failure, r.Err)
		}
	})
}

// A target that closes a connection while it is idle, as it does when it
// restarts, costs no attempt: the next call goes out on a new one, once.
func TestConnectionClosedWhileIdleIsReplaced(t *testing.T) {
	eachEngine(t, func(t *testing.T, open engine) {
		var seen atomic.Int64
		closed := make(chan struct{})
		url := rawServer(t, func(n int, c net.Conn) {
			in := bufio.NewReader(c)
			for {
				if _, err := readRequest(in); err != nil {
					return
				}
				seen.Add(1)
				io.WriteString(c, okAnswer)
				if n == 0 {
					c.Close()
					close(closed)
					return
				}
			}
		})
		s := &pausing{single: single{calls: []loadgen.Call{get("/1"), get("/2"), get("/3")}}, pause: closed}
		e := open(Config{BaseURL: url, Connections: 1})
		if err := e.Run(t.Context(), loadgen.Job{Start: time.Now(), Calls: s, Replies: s}); err != nil {
			t.Fatal(err)
		}
		ok := 0
		for _, r := range s.replies {
			switch r.Failure {
			case loadgen.None:
				ok++
			case loadgen.Broken: // the call and the close met on the way: honest
			default:
				t.Errorf("failure %d, error %v", r.Failure, r.Err)
			}
		}
		if ok < 2 || seen.Load() != int64(ok) {
			t.Errorf("%d answers, the server saw %d requests", ok, seen.Load())
		}
	})
}

// pausing is a single that holds its second call until pause is closed.
type pausing struct {
	single
	pause chan struct{}
}

func (p *pausing) Next(c *loadgen.Call) bool {
	if len(p.replies) == 1 {
		<-p.pause
	}
	return p.single.Next(c)
}

func TestWrongConfigIsReportedByRun(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{Config{}, `base URL ""`},
		{Config{BaseURL: "127.0.0.1:8080"}, "base URL"},
		{Config{BaseURL: "ftp://host"}, `base URL "ftp://host"`},
		{Config{BaseURL: "http://host", Connections: -1}, "-1 connections"},
		{Config{BaseURL: "http://host", Loops: -1}, "-1 loops"},
		{Config{BaseURL: "http://host", Timeout: -1}, "timeout -1ns"},
		{Config{BaseURL: "https://host", Timeout: -1}, "timeout -1ns"},
	} {
		err := New(c.cfg).Run(t.Context(), loadgen.Job{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.cfg, err, c.want)
		}
	}
}

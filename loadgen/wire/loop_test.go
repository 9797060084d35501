package wire

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ordbench/ordbench/loadgen"
)

// echo is a kernel in which a connection answers at once and whatever it is
// told to go wrong does.
type echo struct {
	at      time.Duration
	pending []event
	answer  string
	opened  int
	shuts   int
	written []int          // requests begun on each connection, by descriptor
	fails   map[int]error  // of the first write on a descriptor
	refuses map[string]int // connects that an address refuses
	to      []string       // addresses by descriptor
	stamps  bool           // of what comes in: the loop may nap
	naps    int
	longest time.Duration // nap

	longestWait time.Duration
}

func (k *echo) now() time.Duration { return k.at }
func (k *echo) wake()              {}
func (k *echo) close()             {}
func (k *echo) shut(int)           { k.shuts++ }

func (k *echo) wait(events []event, timeout time.Duration) (int, error) {
	n := copy(events, k.pending)
	k.pending = k.pending[:copy(k.pending, k.pending[n:])]
	if n == 0 {
		if k.at > time.Hour {
			return 0, errors.New("the loop waits for nothing")
		}
		k.at += timeout
		k.longestWait = max(k.longestWait, timeout)
	}
	return n, nil
}

func (k *echo) open(to netip.AddrPort, token int32) (int, error) {
	k.pending = append(k.pending, event{token, writable})
	k.written = append(k.written, 0)
	k.to = append(k.to, to.String())
	k.opened++
	return k.opened - 1, nil
}

func (k *echo) connected(fd int) error {
	if to := k.to[fd]; k.refuses[to] > 0 {
		k.refuses[to]--
		return errRefused
	}
	return nil
}

var (
	errRefused = errors.New("refused")
	errReset   = errors.New("reset")
)

func (k *echo) write(fd int, p []byte) (int, error) {
	k.written[fd]++
	if err := k.fails[fd]; err != nil && k.written[fd] > 1 {
		return 0, err
	}
	if k.answer != "" {
		k.pending = append(k.pending, event{0, readable})
	}
	return len(p), nil
}

func (k *echo) nap(d time.Duration) bool {
	if k.stamps {
		k.at += d
		k.naps++
		k.longest = max(k.longest, d)
	}
	return k.stamps
}

func (k *echo) read(_ int, p []byte) (int, time.Duration, error) {
	return copy(p, k.answer), k.at, nil
}

// quiet is a Source of one call again and again, n times, and a Sink. It
// allocates nothing.
type quiet struct {
	left     int
	gap, due time.Duration
	failures [loadgen.Withdrawn + 1]int
	last     loadgen.Reply
	late     time.Duration // at most, from due to sent
}

func (s *quiet) Next(c *loadgen.Call) bool {
	if s.left == 0 {
		return false
	}
	s.left--
	c.Reset()
	c.Due = s.due
	s.due += s.gap
	c.Method = "POST"
	c.Path = append(c.Path, "/orders"...)
	f := c.AddHeader("Idempotency-Key")
	f.Value = append(f.Value, "k-1"...)
	c.Body = append(c.Body, "{}"...)
	return true
}

func (s *quiet) Done(c *loadgen.Call, r *loadgen.Reply) {
	s.failures[r.Failure]++
	s.last = *r
	s.late = max(s.late, r.Sent-c.Due)
}

// onEcho runs a loop of one connection over k.
func onEcho(k *echo, s *quiet, routes ...string) error {
	base, err := url.Parse("http://shop.test")
	if err != nil {
		return err
	}
	l := newLoop(1, 0)
	l.os, l.timeout, l.origin = k, time.Second, newOrigin(base)
	l.job = loadgen.Job{Calls: s, Replies: s}
	for _, r := range append(routes, "192.0.2.1:80") {
		l.routes = append(l.routes, netip.MustParseAddrPort(r))
	}
	return l.run()
}

func TestLoopAllocatesNothing(t *testing.T) {
	const calls = 5000
	for name, play := range map[string]func(t *testing.T, s *quiet) error{
		"on no network": func(_ *testing.T, s *quiet) error { return onEcho(&echo{answer: okAnswer}, s) },
		"on a real one": func(t *testing.T, s *quiet) error {
			if runtime.GOOS != "linux" {
				t.Skip("there is no event loop")
			}
			e := newEventLoop(Config{Connections: 1, BaseURL: rawServer(t, func(_ int, c net.Conn) {
				request := make([]byte, 4<<10)
				answer := []byte(okAnswer)
				for {
					if _, err := c.Read(request); err != nil {
						return
					}
					c.Write(answer)
				}
			})})
			return e.Run(t.Context(), loadgen.Job{Start: time.Now(), Calls: s, Replies: s})
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := &quiet{left: calls, gap: time.Microsecond}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			if err := play(t, s); err != nil {
				t.Fatal(err)
			}
			runtime.ReadMemStats(&after)
			if s.failures[loadgen.None] != calls {
				t.Fatalf("failures %v", s.failures)
			}
			// What is made once is less than one per ten calls.
			if n := after.Mallocs - before.Mallocs; n > calls/10 {
				t.Errorf("%d allocations for %d calls, want none per call", n, calls)
			}
		})
	}
}

func TestLoopRisesForEachCallUnlessTheyAreDense(t *testing.T) {
	for _, c := range []struct {
		name  string
		gap   time.Duration
		naps  func(n int) bool
		late  time.Duration
		calls int
	}{
		{"10,000 a second are sent when they are due", 100 * time.Microsecond, func(n int) bool { return n == 999 }, 0, 1000},
		{"100,000 a second are sent twenty at a time", 10 * time.Microsecond, func(n int) bool { return n > 450 && n < 700 }, quantum, 10000},
		{"100 a second nap before each, and sleep before that", 10 * time.Millisecond, func(n int) bool { return n > 90 && n <= 100 }, 0, 100},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := &echo{answer: okAnswer, stamps: true}
			s := &quiet{left: c.calls, gap: c.gap}
			if err := onEcho(k, s); err != nil || s.failures[loadgen.None] != c.calls {
				t.Fatalf("failures %v, error %v", s.failures, err)
			}
			if !c.naps(k.naps) {
				t.Errorf("%d naps for %d calls", k.naps, c.calls)
			}
			if k.longest > quantum {
				t.Errorf("answers lay unread for %v", k.longest)
			}
			if s.late > c.late {
				t.Errorf("a call was sent %v after it was due, want at most %v", s.late, c.late)
			}
		})
	}
}

func TestCallIsMadeOnAnotherConnectionIfNoByteWasWritten(t *testing.T) {
	k := &echo{answer: okAnswer, fails: map[int]error{0: errReset}}
	s := &quiet{left: 3}
	if err := onEcho(k, s); err != nil || s.failures[loadgen.None] != 3 {
		t.Errorf("failures %v, error %v; want 3 answers", s.failures, err)
	}
	if !slices.Equal(k.written, []int{2, 2}) || k.shuts != 2 {
		t.Errorf("writes %v, %d closed; want the second call on another connection", k.written, k.shuts)
	}
}

func TestNextAddressIsTried(t *testing.T) {
	for _, c := range []struct {
		name    string
		refuses map[string]int
		failure loadgen.Failure
		opened  int
	}{
		{"if the first refuses, which is remembered", map[string]int{"192.0.2.2:80": 2}, loadgen.None, 2},
		{"until none is left", map[string]int{"192.0.2.2:80": 2, "192.0.2.1:80": 2}, loadgen.Refused, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := &echo{answer: okAnswer, refuses: c.refuses}
			s := &quiet{left: 2}
			err := onEcho(k, s, "192.0.2.2:80")
			if err != nil || s.failures[c.failure] != 2 || k.opened != c.opened {
				t.Errorf("failures %v, %d connects, error %v", s.failures, k.opened, err)
			}
		})
	}
}

func TestKernelThatBreaksDownLeavesAnAccount(t *testing.T) {
	k := &echo{} // no answer: the loop waits for the timeout
	s := &quiet{left: 2, gap: 2 * time.Hour}
	err := onEcho(k, s)
	if err == nil || s.failures[loadgen.TimedOut] != 1 || s.failures[loadgen.Withdrawn] != 1 {
		t.Errorf("failures %v, error %v; want a timeout, and a call that is not due", s.failures, err)
	}
}

// A wait is a call that Go's scheduler does not know of: it must end soon.
func TestLoopThatHasNothingToDoLooksUpNowAndThen(t *testing.T) {
	k := &echo{answer: okAnswer}
	s := &quiet{left: 3, gap: time.Minute}
	if err := onEcho(k, s); err != nil || s.failures[loadgen.None] != 3 {
		t.Errorf("failures %v, error %v; want 3 answers", s.failures, err)
	}
	if k.longestWait > turn {
		t.Errorf("it waited for %v at a time; want at most %v", k.longestWait, turn)
	}
}

// The requests of the loop are those of net/http.
func TestRequestsAreThoseOfNetHTTP(t *testing.T) {
	for _, base := range []string{"http://shop.test", "http://shop.test:81/a%2Fb", "http://[::1]:80/?q=1"} {
		for _, c := range []loadgen.Call{
			get("/orders"),
			get(""),
			get("/a b/ü?x=%20&y"),
			get("/'(*)!;|^"),
			{Path: []byte("/")},
			{Method: "POST", Path: []byte("/orders")},
			{Method: "DELETE", Path: []byte("/orders/1")},
			{Method: "PUT", Path: []byte("/orders"), Body: []byte("{}"), Header: []loadgen.Field{
				{Name: "A", Value: []byte("b")}, {Name: "Content-Length", Value: []byte("7")}, {Name: "Host", Value: []byte("x")}, {Name: "User-Agent", Value: []byte("me")},
			}},
		} {
			t.Run(fmt.Sprintf("%s %s %s", base, c.Method, c.Path), func(t *testing.T) {
				e := NewNetHTTP(Config{BaseURL: base})
				w := worker{netRun: &netRun{NetHTTP: e}, call: c}
				req, err := w.request()
				if err != nil {
					t.Fatal(err)
				}
				var want bytes.Buffer
				if err := req.Write(&want); err != nil {
					t.Fatal(err)
				}
				got, err := e.origin.append(nil, &c)
				if err != nil || lines(string(got)) != lines(want.String()) {
					t.Errorf("%q, error %v; net/http sends %q", got, err, want.String())
				}
				if _, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(got))); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// lines sorts the lines of a head.
func lines(request string) string {
	head, body, _ := strings.Cut(request, "\r\n\r\n")
	all := strings.Split(head, "\r\n")
	slices.Sort(all[1:])
	return strings.Join(all, "\n") + "\n\n" + body
}

// What would be two requests is none.
func TestUnfitRequestsAreNotSent(t *testing.T) {
	for name, c := range map[string]loadgen.Call{
		"method": {Method: "GET /\r\n", Path: []byte("/")},
		"path":   {Path: []byte("/?\x7f%")},
		"name":   {Path: []byte("/"), Header: []loadgen.Field{{Name: "A: b\r\nC"}}},
		"value":  {Path: []byte("/"), Header: []loadgen.Field{{Name: "A", Value: []byte("b\r\nC: d")}}},
	} {
		t.Run(name, func(t *testing.T) {
			eachEngine(t, func(t *testing.T, open engine) {
				url := rawServer(t, func(_ int, c net.Conn) {
					if got, _ := io.ReadAll(c); len(got) > 0 {
						t.Errorf("%q arrived", got)
					}
				})
				if r := attempt(t, open(Config{BaseURL: url, Connections: 1}), c)[0]; r.Failure != loadgen.Refused || r.Err == nil {
					t.Errorf("failure %d, error %v; want refused", r.Failure, r.Err)
				}
			})
		})
	}
}

func TestLoopsShareTheCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(time.Second)
			accept(w)
		}))
		e := newEventLoop(Config{BaseURL: "http://192.0.2.1", Connections: 7, Loops: 3})
		e.open = func(start time.Time) (kernel, error) { return newMemory(start, network.dial), nil }
		e.spin = 0
		o := run(t, t.Context(), e, one(loadgen.Constant{PerSecond: 7}, 10*time.Second), 0)
		if o.Counts.OK != 70 || o.Slip.Max() > 0 || o.Response.Max()/10_000 != 100 {
			t.Errorf("%+v, slip %d us, response %d us; want 70 ok in 1 s each", o.Counts, o.Slip.Max(), o.Response.Max())
		}
	})
}

func TestNameThatNobodyHasRefuses(t *testing.T) {
	eachEngine(t, func(t *testing.T, open engine) {
		s := &single{calls: []loadgen.Call{get("/"), get("/")}}
		err := open(Config{BaseURL: "http://" + strings.Repeat("x", 64) + ".invalid", Connections: 1}).Run(t.Context(), loadgen.Job{Start: time.Now(), Calls: s, Replies: s})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range s.replies {
			if r.Failure != loadgen.Refused || r.Err == nil {
				t.Errorf("failure %d, error %v; want refused", r.Failure, r.Err)
			}
		}
	})
}

package wire

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/ordbench/ordbench/loadgen"
)

// unruly is an order service that misbehaves at random and keeps its own
// count, against which the generator's is held.
type unruly struct {
	mu     sync.Mutex
	rng    *rand.Rand
	conns  map[net.Conn]bool
	down   bool
	orders map[string]fate // by idempotency key
}

// fate is what the server did with one order.
type fate struct {
	seen   int // requests that arrived in full
	status int // of the answer that was handed to the kernel in full; 0: none
}

// serve answers on one connection until it has broken it.
func (u *unruly) serve(_ int, c net.Conn) {
	u.mu.Lock()
	if u.down {
		u.mu.Unlock()
		return
	}
	u.conns[c] = true
	u.mu.Unlock()
	defer func() {
		u.mu.Lock()
		delete(u.conns, c)
		u.mu.Unlock()
	}()
	in := bufio.NewReader(c)
	for {
		if _, err := in.Peek(1); err != nil {
			return
		}
		if u.draw(100) < 2 { // reset with the request unread
			reset(c)
			return
		}
		req, err := readRequest(in)
		if err != nil {
			return
		}
		key := req.Header.Get("Idempotency-Key")
		if !u.answer(c, in, key) {
			return
		}
	}
}

// answer does one thing or the other, and says if the connection still works.
func (u *unruly) answer(c net.Conn, in *bufio.Reader, key string) bool {
	u.mu.Lock()
	f := u.orders[key]
	f.seen++
	u.orders[key] = f
	u.mu.Unlock()
	whole := func(status int, header, body string) bool {
		u.mu.Lock()
		f := u.orders[key]
		f.status = status
		u.orders[key] = f
		u.mu.Unlock()
		_, err := fmt.Fprintf(c, "HTTP/1.1 %d Status\r\n%sContent-Length: %d\r\n\r\n%s", status, header, len(body), body)
		return err == nil
	}
	accepted := fmt.Sprintf(`{"order_id":"of-%s","status":"PENDING"}`, key)
	switch draw := u.draw(100); {
	case draw < 3:
		reset(c)
		return false
	case draw < 5:
		return false // closed
	case draw < 7:
		io.WriteString(c, "HTTP/1.1 202 Accepted\r\nContent-Length: 100\r\n\r\n{\"order")
		return false
	case draw < 9:
		io.WriteString(c, "\x16\x03\x01garbage\r\n\r\n")
		return false
	case draw < 11:
		in.ReadByte() // hangs until the client leaves
		return false
	case draw < 14:
		return whole(429, "X-Refused-By: rate-limit\r\n", "")
	case draw < 17:
		return whole(503, "X-Refused-By: breaker\r\n", "no")
	case draw < 20:
		return whole(500, "", "oops")
	case draw < 22:
		return whole(422, "", "")
	case draw < 25:
		whole(202, "", accepted)
		return false // closed without a word: the client finds out later
	case draw < 28:
		return whole(202, "Connection: close\r\n", accepted) && false
	}
	return whole(202, "", accepted)
}

func (u *unruly) draw(n int) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.rng.IntN(n)
}

// stop ends all connections and takes no new ones until start.
func (u *unruly) stop() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.down = true
	for c := range u.conns {
		reset(c)
	}
}

func (u *unruly) start() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.down = false
}

func (u *unruly) isDown() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.down
}

func reset(c net.Conn) {
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
}

func TestAccountMatchesThatOfAnUnrulyServer(t *testing.T) {
	for seed := range uint64(2) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			eachEngine(t, func(t *testing.T, open engine) { againstUnruly(t, open, seed, false) })
		})
	}
}

func TestAccountMatchesAfterAStopInMidRun(t *testing.T) {
	for seed := range uint64(2) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			eachEngine(t, func(t *testing.T, open engine) { againstUnruly(t, open, seed, true) })
		})
	}
}

func againstUnruly(t *testing.T, open engine, seed uint64, stopped bool) {
	u := &unruly{rng: rand.New(rand.NewPCG(seed, 0)), conns: map[net.Conn]bool{}, orders: map[string]fate{}}
	url := rawServer(t, u.serve)
	e := open(Config{BaseURL: url, Connections: 24, Timeout: 250 * time.Millisecond})
	detour(e, u.isDown, deadAddr(t))
	var text bytes.Buffer
	ledger := loadgen.NewLedgerWriter(&text)
	runner := loadgen.New(loadgen.Config{
		Plan:     one(loadgen.Poisson{Mean: loadgen.Constant{PerSecond: 1500}}, 2*time.Second),
		Workload: orders(t), Engine: e, Ledger: ledger, Grace: 20 * time.Millisecond,
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var outage sync.WaitGroup
	outage.Go(func() {
		// The server is down until the generator has noticed.
		reach(ctx, runner, func(c loadgen.Counts) bool { return c.Settled() > 800 })
		before := runner.Snapshot().Total().Error
		u.stop()
		reach(ctx, runner, func(c loadgen.Counts) bool { return c.Error > before+100 })
		u.start()
		reach(ctx, runner, func(c loadgen.Counts) bool { return c.Settled() > 1800 })
		if stopped {
			cancel()
		}
	})
	report, err := runner.Run(ctx)
	cancel()
	outage.Wait()
	if err != nil {
		t.Fatal(err) // the account itself is held by Run
	}
	total := report.Total()
	t.Logf("%+v %v", total, report.Phases[0].Ops["place_order"].Reasons)
	if report.Stopped != stopped {
		t.Errorf("stopped %v, want %v", report.Stopped, stopped)
	}
	if total.OK == 0 || total.Rejected == 0 || total.Error == 0 || total.Timeout == 0 || report.Phases[0].Ops["place_order"].Reasons["refused"] == 0 {
		t.Errorf("%+v: not every kind of trouble was had", total)
	}
	u.compare(t, text.Bytes(), total)
}

// detour makes e connect to another address while that is asked for: where
// nobody listens the kernel itself refuses.
func detour(e loadgen.Engine, wanted func() bool, addr string) {
	switch e := e.(type) {
	case *NetHTTP:
		direct := e.cfg.Dial
		e.cfg.Dial = func(ctx context.Context, network, to string) (net.Conn, error) {
			if wanted() {
				to = addr
			}
			return direct(ctx, network, to)
		}
	case *eventLoop:
		direct := e.open
		e.open = func(start time.Time) (kernel, error) {
			k, err := direct(start)
			return diverted{k, wanted, netip.MustParseAddrPort(addr)}, err
		}
	}
}

// diverted is a kernel that connects elsewhere.
type diverted struct {
	kernel
	wanted func() bool
	addr   netip.AddrPort
}

func (d diverted) open(to netip.AddrPort, token int32) (int, error) {
	if d.wanted() {
		to = d.addr
	}
	return d.kernel.open(to, token)
}

// reach waits until the run has come so far, or ctx ends.
func reach(ctx context.Context, r *loadgen.Runner, far func(loadgen.Counts) bool) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !far(r.Snapshot().Total()) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// compare holds each attempt of the ledger against what the server knows.
func (u *unruly) compare(t *testing.T, ledger []byte, total loadgen.Counts) {
	t.Helper()
	u.mu.Lock()
	defer u.mu.Unlock()
	lines, happened := uint64(0), uint64(0)
	known := map[string]bool{}
	err := loadgen.ReadLedger(bytes.NewReader(ledger), func(a loadgen.Attempt) error {
		lines++
		known[a.Key] = true
		f := u.orders[a.Key]
		switch {
		case f.seen > 1:
			t.Errorf("%s was sent %d times", a.Key, f.seen)
		case a.Certainty == loadgen.Happened && (f.status != 202 || a.OrderID != "of-"+a.Key):
			t.Errorf("%s is said to have happened as %q, the server answered %d", a.Key, a.OrderID, f.status)
		case a.Certainty == loadgen.Refuted && a.Status == 0 && f.seen > 0:
			t.Errorf("%s is said not to have arrived (%s), the server saw it", a.Key, a.Reason)
		case a.Certainty == loadgen.Refuted && a.Status != f.status:
			t.Errorf("%s is said to have been refused with %d, the server answered %d", a.Key, a.Status, f.status)
		case a.Sent < 0 && f.seen > 0:
			t.Errorf("%s is said never to have been sent, the server saw it", a.Key)
		}
		if a.Certainty == loadgen.Happened {
			happened++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if lines != total.Scheduled || happened != total.OK {
		t.Errorf("%d lines of which %d happened, the account is %+v", lines, happened, total)
	}
	for key := range u.orders {
		if !known[key] {
			t.Errorf("the server saw %s, which is not in the ledger", key)
		}
	}
}

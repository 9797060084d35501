package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// pipe is one connection through a link whose ends are in memory, so that a
// test has time in its hands.
func pipe(t *testing.T, rules map[string]Rule) (l *Link, client, server net.Conn) {
	t.Helper()
	l = &Link{changed: make(chan struct{}), conns: map[*conn]struct{}{}, probes: map[string]bool{}}
	l.rules.Store(&[]*standing{})
	for name, r := range rules {
		if err := l.set(name, r); err != nil {
			t.Fatal(err)
		}
	}
	client, near := net.Pipe()
	far, server := net.Pipe()
	c := &conn{link: l, id: 1, client: near, server: far, gone: make(chan struct{}), met: map[*standing]time.Time{}}
	go c.run()
	t.Cleanup(func() {
		client.Close()
		server.Close()
	})
	return l, client, server
}

// set is Set without a listener to obey.
func (l *Link) set(name string, r Rule) error {
	l.change(func(rules []*standing) []*standing {
		return append(drop(rules, name), &standing{Rule: r, id: name, lifted: make(chan struct{})})
	})
	return nil
}

func (l *Link) clear(name string) {
	l.change(func(rules []*standing) []*standing { return drop(rules, name) })
}

func TestWhatArrivesAndWhen(t *testing.T) {
	for _, tt := range []struct {
		name  string
		rules map[string]Rule
		bytes int
		took  time.Duration
	}{
		{"nothing stands in the way", nil, 1000, 0},
		{"a delay", map[string]Rule{"a": {Delay: 200 * time.Millisecond}}, 1000, 200 * time.Millisecond},
		{"two delays add up", map[string]Rule{"a": {Delay: 200 * time.Millisecond}, "b": {Delay: 50 * time.Millisecond}}, 1000, 250 * time.Millisecond},
		{"a delay of the other way is none", map[string]Rule{"a": {Delay: time.Second, Direction: Backward}}, 1000, 0},
		{"a delay of this way", map[string]Rule{"a": {Delay: time.Second, Direction: Forward}}, 1000, time.Second},
		{"a bandwidth", map[string]Rule{"a": {BytesPerSecond: 1000}}, 3000, 3 * time.Second},
		{"the narrower of two", map[string]Rule{"a": {BytesPerSecond: 1000}, "b": {BytesPerSecond: 500}}, 1000, 2 * time.Second},
		{"pieces with gaps", map[string]Rule{"a": {PieceBytes: 10, PieceGap: 2 * time.Millisecond}}, 100, 18 * time.Millisecond},
		{"a delay and a bandwidth", map[string]Rule{"a": {Delay: time.Second}, "b": {BytesPerSecond: 1000}}, 1000, 2 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, client, server := pipe(t, tt.rules)
				sent := bytes.Repeat([]byte("x"), tt.bytes)
				began := time.Now()
				go func() { _, _ = client.Write(sent) }()
				got := make([]byte, tt.bytes)
				if _, err := io.ReadFull(server, got); err != nil || !bytes.Equal(sent, got) {
					t.Fatalf("%v, %d of the bytes are right", err, bytes.Count(got, []byte("x")))
				}
				// The last piece is there before the time that it takes is over.
				slack := time.Duration(0)
				for _, r := range tt.rules {
					if r.BytesPerSecond > 0 {
						slack = time.Second / 50
					}
				}
				if took := time.Since(began); took > tt.took || took < tt.took-slack {
					t.Errorf("took %s, want %s", took, tt.took)
				}
				client.Close()
				server.Close()
				time.Sleep(time.Minute) // of the bubble: all that waits has ended

			})
		})
	}
}

func TestAHeldConnectionGoesOnWhenTheRuleIsLifted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, client, server := pipe(t, map[string]Rule{"a": {Hold: true}})
		go func() { _, _ = client.Write([]byte("late")) }()
		time.AfterFunc(5*time.Second, func() { l.clear("a") })
		began := time.Now()
		got := make([]byte, 4)
		if _, err := io.ReadFull(server, got); err != nil || string(got) != "late" || time.Since(began) != 5*time.Second {
			t.Errorf("%q after %s, %v", got, time.Since(began), err)
		}
		client.Close()
		server.Close()
		time.Sleep(time.Minute)
	})
}

func TestAConnectionThatLostBytesIsNotHealed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, client, server := pipe(t, map[string]Rule{"a": {Mute: true}})
		if _, err := client.Write([]byte("lost")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		l.clear("a")
		if n, err := server.Read(make([]byte, 4)); err == nil {
			t.Errorf("%d bytes came of a stream with a hole in it", n)
		}
		client.Close()
		server.Close()
		time.Sleep(time.Minute)
	})
}

func TestAConnectionEndsAfterItsBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, client, server := pipe(t, map[string]Rule{"a": {CloseAfter: 10}})
		go func() { _, _ = client.Write(make([]byte, 25)) }()
		got, err := io.ReadAll(server)
		if len(got) != 10 || err != nil && !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		client.Close()
		server.Close()
		time.Sleep(time.Minute)
	})
}

func TestAShareOfTheConnectionsMeetsARule(t *testing.T) {
	s := &standing{Rule: Rule{Share: 0.3}, id: "a"}
	met := 0
	for id := range uint64(10_000) {
		if s.meets(id + 1) {
			met++
		}
		if first, again := s.meets(id+1), s.meets(id+1); first != again {
			t.Fatal("a connection is in the share and is not")
		}
	}
	if met < 2800 || met > 3200 {
		t.Errorf("%d of 10000 connections at a share of 30%%", met)
	}
}

func TestJitterIsSpreadAsAskedFor(t *testing.T) {
	const n = 20_000
	for _, spread := range []Spread{Uniform, Normal, Pareto} {
		r := Rule{Delay: 100 * time.Millisecond, Jitter: 10 * time.Millisecond, Spread: spread}
		var sum time.Duration
		low, high := time.Hour, time.Duration(0)
		for range n {
			d := r.draw()
			sum, low, high = sum+d, min(low, d), max(high, d)
		}
		mean := sum / n
		switch {
		case spread == Uniform && (low < 90*time.Millisecond || high > 110*time.Millisecond || mean < 99*time.Millisecond || mean > 101*time.Millisecond),
			spread == Normal && (mean < 99*time.Millisecond || mean > 101*time.Millisecond || high < 120*time.Millisecond),
			spread == Pareto && (low < 100*time.Millisecond || mean < 105*time.Millisecond || mean > 115*time.Millisecond || high < 200*time.Millisecond):
			t.Errorf("%s: %s to %s, %s on average", spread, low, high, mean)
		}
	}
}

// echo answers what it is sent until the test ends.
func echo(t testing.TB) string {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	return l.Addr().String()
}

func TestALinkOfSocketsIsCutAndComesBack(t *testing.T) {
	l, err := Open(echo(t))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ask := func() error {
		c, err := net.DialTimeout("tcp4", l.Addr(), 5*time.Second)
		if err != nil {
			return err
		}
		defer c.Close()
		if _, err := c.Write([]byte("hello")); err != nil {
			return err
		}
		_, err = io.ReadFull(c, make([]byte, 5))
		return err
	}
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	open, err := net.Dial("tcp4", l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	for _, rule := range []Rule{{Refuse: true}, {Reset: true}} {
		if err := l.Set("a", rule); err != nil {
			t.Fatal(err)
		}
		if err := ask(); err == nil {
			t.Errorf("%+v: a connection got through", rule)
		}
		if _, err := l.Clear("a"); err != nil {
			t.Fatal(err)
		}
		if err := ask(); err != nil {
			t.Errorf("%+v: it did not come back: %v", rule, err)
		}
	}
	if _, err := open.Read(make([]byte, 1)); err == nil {
		t.Error("a connection outlived a cut")
	}
}

// accepting is an upstream that hands out the connections which it gets.
func accepting(t *testing.T) (addr string, conns <-chan net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	got := make(chan net.Conn, 1000)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			got <- c
		}
	}()
	return l.Addr().String(), got
}

// through opens a link to an upstream, and a connection through it; both ends
// have passed a byte each way.
func through(t *testing.T) (l *Link, client, server net.Conn) {
	t.Helper()
	addr, conns := accepting(t)
	l, err := Open(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	if client, err = net.Dial("tcp4", l.Addr()); err != nil {
		t.Fatal(err)
	}
	server = <-conns
	t.Cleanup(func() { client.Close(); server.Close() })
	carries(t, client, server)
	carries(t, server, client)
	return l, client, server
}

func carries(t *testing.T, from, to net.Conn) {
	t.Helper()
	if _, err := from.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(to, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
}

// isReset reads until an end, which has to be a hard one.
func isReset(t *testing.T, c net.Conn) {
	t.Helper()
	if n, err := c.Read(make([]byte, 1)); n > 0 || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read %d bytes, %v, want a reset", n, err)
	}
}

func TestACutOfAShareResetsThoseInIt(t *testing.T) {
	addr, _ := accepting(t)
	l, err := Open(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	const n = 400
	open := make([]net.Conn, n)
	for i := range open {
		if open[i], err = net.Dial("tcp4", l.Addr()); err != nil {
			t.Fatal(err)
		}
		defer open[i].Close()
	}
	// All of them have been joined with the upstream.
	for joined := 0; joined < n; runtime.Gosched() {
		l.mu.Lock()
		joined = len(l.conns)
		l.mu.Unlock()
	}
	if err := l.Set("a", Rule{Refuse: true, Share: 0.25}); err != nil {
		t.Fatal(err)
	}
	count, _ := l.Count("a")
	l.mu.Lock()
	left := 0
	for c := range l.conns {
		if !(*l.rules.Load())[0].meets(c.id) {
			left++
		}
	}
	l.mu.Unlock()
	if count.Connections < 70 || count.Connections > 130 || int(count.Connections)+left != n {
		t.Errorf("of %d open connections %d were reset and %d left, at a share of a quarter", n, count.Connections, left)
	}
	for range n {
		switch c, err := net.Dial("tcp4", l.Addr()); {
		case errors.Is(err, syscall.ECONNREFUSED):
			t.Fatal("nobody listens any more")
		case err == nil: // else it was reset before it knew
			defer c.Close()
		}
	}
	for all := int64(0); all < 2*int64(n); runtime.Gosched() {
		l.mu.Lock()
		left = 0
		for c := range l.conns {
			if !(*l.rules.Load())[0].meets(c.id) {
				left++
			}
		}
		l.mu.Unlock()
		count, _ = l.Count("a")
		all = count.Connections + int64(left)
	}
	if count.Connections < 150 || count.Connections > 250 {
		t.Errorf("of %d connections %d were reset, at a share of a quarter", 2*n, count.Connections)
	}
}

func TestACutOfOneWayLetsTheOtherPass(t *testing.T) {
	for _, way := range []Direction{Forward, Backward} {
		l, client, server := through(t)
		if err := l.Set("a", Rule{Refuse: true, Direction: way}); err != nil {
			t.Fatal(err)
		}
		from, to := client, server
		if way == Backward {
			from, to = server, client
		}
		carries(t, to, from)
		if c, _ := l.Count("a"); c.Connections != 0 {
			t.Errorf("%d connections met a cut that they did not run into", c.Connections)
		}
		if _, err := from.Write([]byte("lost")); err != nil {
			t.Fatal(err)
		}
		isReset(t, to)
		isReset(t, from)
		if c, err := l.Clear("a"); err != nil || c.Connections != 1 || c.Bytes != 4 {
			t.Errorf("%+v, %v", c, err)
		}
	}
}

// A reset of one way tells the end that it leads to. The other one may send,
// hears nothing, and is reset when the rule is lifted.
func TestAResetOfOneWayLeavesAnEndInTheDark(t *testing.T) {
	for _, way := range []Direction{Forward, Backward} {
		l, client, server := through(t)
		told, left := server, client
		if way == Backward {
			told, left = client, server
		}
		if err := l.Set("a", Rule{Reset: true, Direction: way}); err != nil {
			t.Fatal(err)
		}
		isReset(t, told)
		for range 100 { // more than one write: the first after a reset never fails
			if _, err := left.Write(make([]byte, 100<<10)); err != nil {
				t.Fatalf("way %d: who was to hear nothing heard %v", way, err)
			}
		}
		_ = left.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		if n, err := left.Read(make([]byte, 1)); n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("way %d: read %d bytes, %v", way, n, err)
		}
		_ = left.SetReadDeadline(time.Time{})
		if _, err := l.Clear("a"); err != nil {
			t.Fatal(err)
		}
		isReset(t, left)
	}
}

// BenchmarkDelay measures what a delay of 200 ms comes to on sockets, from
// the outside: ms/op should be 200.
func BenchmarkDelay(b *testing.B) {
	l, err := Open(echo(b))
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	if err := l.Set("a", Rule{Delay: 200 * time.Millisecond, Direction: Forward}); err != nil {
		b.Fatal(err)
	}
	var sum, most time.Duration
	n := 0
	for b.Loop() {
		p, err := l.Probe(context.Background(), 1)
		if err != nil {
			b.Fatal(err)
		}
		n++
		sum, most = sum+p.Took, max(most, p.Took)
	}
	b.ReportMetric(float64(sum/time.Duration(n))/1e6, "ms/probe")
	b.ReportMetric(float64(most)/1e6, "ms-most")
}

// BenchmarkBandwidth measures what a limit of 1 MiB/s comes to.
func BenchmarkBandwidth(b *testing.B) {
	l, err := Open(echo(b))
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	const rate, size = 1 << 20, 1 << 20
	if err := l.Set("a", Rule{BytesPerSecond: rate, Direction: Forward}); err != nil {
		b.Fatal(err)
	}
	var sum time.Duration
	n := 0
	for b.Loop() {
		p, err := l.Probe(context.Background(), size)
		if err != nil {
			b.Fatal(err)
		}
		n++
		sum += p.Took
	}
	b.ReportMetric(float64(n*size)/sum.Seconds(), "bytes/s")
	b.ReportMetric(100*float64(n*size)/sum.Seconds()/rate, "%of-limit")
}

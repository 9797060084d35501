package wire

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"runtime"
	"runtime/pprof"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ordbench/ordbench/loadgen"
	"github.com/ordbench/ordbench/loadgen/shop"
)

// unrulyEnv makes the test binary an unruly server in a process of its own, of
// that seed and address, that can be killed.
const unrulyEnv = "ORDBENCH_WIRE_TEST_UNRULY"

// serveUnruly serves until stdin ends. The account goes to stdout, a write an
// entry and before the answer, so that a kill takes nothing back.
func serveUnruly(config string) {
	fail := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, "unruly:", err)
			os.Exit(1)
		}
	}
	var (
		seed uint64
		addr string
	)
	_, err := fmt.Sscan(config, &seed, &addr)
	fail(err)
	l, err := net.Listen("tcp", addr)
	fail(err)
	fmt.Println(l.Addr())
	u := newUnruly(seed, func(key string, status int) {
		_, err := os.Stdout.WriteString(key + " " + strconv.Itoa(status) + "\n")
		fail(err)
	})
	go func() {
		for {
			c, err := l.Accept()
			fail(err)
			go func() {
				defer c.Close()
				u.serve(0, c)
			}()
		}
	}()
	io.Copy(io.Discard, os.Stdin)
}

// outlaw is an unruly server in a process of its own, and its account.
type outlaw struct {
	seed uint64
	addr string
	cmd  *exec.Cmd
	in   io.Closer
	read chan error // the account is read to its end
	book book
}

// start boots it, again at the address that it had.
func (o *outlaw) start() error {
	if o.addr == "" {
		o.addr = "127.0.0.1:0"
	}
	o.cmd = exec.Command(os.Args[0])
	o.cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %s", unrulyEnv, o.seed, o.addr))
	o.cmd.Stderr = os.Stderr
	o.seed += 1 << 32 // another life, another mood
	in, err := o.cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := o.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := o.cmd.Start(); err != nil {
		return err
	}
	o.in, o.read = in, make(chan error, 1)
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		return errors.Join(errors.New("the server gave no address"), lines.Err(), o.cmd.Wait())
	}
	o.addr = lines.Text()
	go func() {
		for lines.Scan() {
			var (
				key    string
				status int
			)
			if _, err := fmt.Sscan(lines.Text(), &key, &status); err != nil {
				o.read <- fmt.Errorf("%q: %w", lines.Text(), err)
				return
			}
			o.book.enter(key, status)
		}
		o.read <- lines.Err()
	}()
	return nil
}

// kill ends it by SIGKILL, in the middle of whatever it does.
func (o *outlaw) kill() error {
	err := o.cmd.Process.Kill()
	err = errors.Join(err, <-o.read)
	_ = o.cmd.Wait() // killed is how it ended
	return err
}

// stop ends it in peace.
func (o *outlaw) stop() error {
	o.in.Close()
	return errors.Join(<-o.read, o.cmd.Wait())
}

// trial is one short run against an outlaw, all of it drawn from a seed.
type trial struct {
	seed        uint64
	net         bool // over net/http
	connections int
	rate        float64
	length      time.Duration
	timeout     time.Duration
	flows       bool
	killed      bool // the server, in mid-run, and back when that was noticed
	stopped     bool // the load, in mid-run
}

func newTrial(seed uint64) trial {
	rng := rand.New(rand.NewPCG(seed, 1))
	return trial{
		seed: seed, net: runtime.GOOS != "linux" || seed%2 == 0,
		connections: 1 + rng.IntN(32), rate: 200 + 1800*rng.Float64(),
		length:  time.Duration(150+rng.IntN(300)) * time.Millisecond,
		timeout: time.Duration(30+rng.IntN(200)) * time.Millisecond,
		flows:   rng.IntN(4) == 0, killed: rng.IntN(2) == 0, stopped: rng.IntN(5) == 0,
	}
}

// run plays the trial, and gives what does not add up.
func (tr trial) run(ctx context.Context) (total loadgen.Counts, wrong []string, err error) {
	o := &outlaw{seed: tr.seed}
	if err := o.start(); err != nil {
		return total, nil, err
	}
	mix := map[loadgen.Op]float64{shop.PlaceOrder: 1}
	if tr.flows {
		mix = map[loadgen.Op]float64{shop.FollowOrder: 1}
	}
	workload, err := shop.New(shop.Config{Seed: tr.seed, Mix: mix})
	if err != nil {
		return total, nil, err
	}
	cfg := Config{BaseURL: "http://" + o.addr, Connections: tr.connections, Timeout: tr.timeout}
	var engine loadgen.Engine = NewNetHTTP(cfg)
	if !tr.net {
		engine = newEventLoop(cfg)
	}
	var text bytes.Buffer
	runner := loadgen.New(loadgen.Config{
		Plan:     loadgen.Plan{Seed: tr.seed, Phases: []loadgen.Phase{{Name: "p", Law: loadgen.Poisson{Mean: loadgen.Constant{PerSecond: tr.rate}}, For: tr.length, Record: true}}},
		Workload: workload, Engine: engine, Ledger: loadgen.NewLedgerWriter(&text), Grace: 20 * time.Millisecond,
	})
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	trouble := make(chan error, 1)
	go func() {
		var err error
		third := uint64(tr.rate * tr.length.Seconds() / 3)
		reach(ctx, runner, func(c loadgen.Counts) bool { return c.Settled() > third })
		if tr.killed {
			err = o.kill()
			before := runner.Snapshot().Total().Settled()
			reach(ctx, runner, func(c loadgen.Counts) bool { return c.Settled() > before+third/4 })
			err = errors.Join(err, o.start())
		}
		reach(ctx, runner, func(c loadgen.Counts) bool { return c.Settled() > 2*third })
		if tr.stopped {
			cancel()
		}
		trouble <- err
	}()
	report, err := runner.Run(ctx)
	cancel()
	err = errors.Join(err, <-trouble, o.stop())
	if err != nil {
		return total, nil, err
	}
	total = report.Total()
	lines, happened, wrong := o.book.compare(text.Bytes())
	if lines != total.Scheduled || !tr.flows && happened != total.OK || happened < total.OK {
		wrong = append(wrong, fmt.Sprintf("%d lines of which %d happened, the account is %+v", lines, happened, total))
	}
	return total, wrong, nil
}

// Each run has another target, other faults and another engine. make soak-load
// does a thousand of them.
func TestNoFaultBendsTheAccount(t *testing.T) {
	runs := 12
	if n, err := strconv.Atoi(os.Getenv("ORDBENCH_SOAK_RUNS")); err == nil {
		runs = n
	}
	const atOnce, patience = 6, 2 * time.Minute
	var (
		next  atomic.Uint64
		mu    sync.Mutex
		sum   loadgen.Counts
		bent  int
		group sync.WaitGroup
	)
	for range atOnce {
		group.Go(func() {
			for {
				seed := next.Add(1)
				if seed > uint64(runs) {
					return
				}
				tr := newTrial(seed)
				hung := time.AfterFunc(patience, func() {
					pprof.Lookup("goroutine").WriteTo(os.Stderr, 2)
					panic(fmt.Sprintf("%+v hangs", tr))
				})
				total, wrong, err := tr.run(t.Context())
				hung.Stop()
				mu.Lock()
				sum = sum.Plus(total)
				if err != nil || len(wrong) > 0 {
					bent++
					t.Errorf("%+v: %v, %q", tr, err, wrong)
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	t.Logf("%d runs, %d with a mismatch or an error: %+v", runs, bent, sum)
	if sum.OK == 0 || sum.Error == 0 || sum.Timeout == 0 || sum.Rejected == 0 {
		t.Error("not every kind of trouble was had")
	}
}

// The comparison must see what it is there for.
func TestBentAccountIsSeen(t *testing.T) {
	good := loadgen.Attempt{Phase: "p", Certainty: loadgen.Happened, Status: 202, Key: "k", OrderID: "of-k"}
	with := func(change func(*loadgen.Attempt)) []loadgen.Attempt {
		a := good
		change(&a)
		return []loadgen.Attempt{a}
	}
	type entry struct {
		key    string
		status int
	}
	seen, answered := entry{"k", 0}, entry{"k", 202}
	for _, c := range []struct {
		name   string
		ledger []loadgen.Attempt
		server []entry
		wrong  int
	}{
		{"a straight one", []loadgen.Attempt{good}, []entry{seen, answered}, 0},
		{"one of which nobody knows", with(func(a *loadgen.Attempt) { a.Certainty, a.Status = loadgen.Unknown, 0 }), []entry{seen}, 0},
		{"happened, without an answer", []loadgen.Attempt{good}, []entry{seen}, 1},
		{"happened, as another's order", with(func(a *loadgen.Attempt) { a.OrderID = "of-none" }), []entry{seen, answered}, 1},
		{"refused, and seen", with(func(a *loadgen.Attempt) { a.Certainty, a.Status = loadgen.Refuted, 0 }), []entry{seen}, 1},
		{"refused, with another answer", with(func(a *loadgen.Attempt) { a.Certainty, a.Status = loadgen.Refuted, 429 }), []entry{seen, answered}, 1},
		{"never sent, and seen", with(func(a *loadgen.Attempt) { a.Certainty, a.Status, a.Sent = loadgen.Unknown, 0, -1 }), []entry{seen}, 1},
		{"sent twice", []loadgen.Attempt{good}, []entry{seen, seen, answered}, 1},
		{"not in the ledger", nil, []entry{seen}, 1},
		{"twice in the ledger", []loadgen.Attempt{good, good}, []entry{seen, answered}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			var (
				text bytes.Buffer
				b    book
			)
			w := loadgen.NewLedgerWriter(&text)
			for i, a := range c.ledger {
				a.Seq = uint64(i)
				if err := w.Write(a); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
			for _, e := range c.server {
				b.enter(e.key, e.status)
			}
			if _, _, wrong := b.compare(text.Bytes()); len(wrong) != c.wrong {
				t.Errorf("%q, want %d", wrong, c.wrong)
			}
		})
	}
}

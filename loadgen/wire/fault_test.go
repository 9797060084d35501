package wire

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/ordbench/ordbench/loadgen"
)

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
	var book book
	u := newUnruly(seed, book.enter)
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
	lines, happened, wrong := book.compare(text.Bytes())
	for _, w := range wrong {
		t.Error(w)
	}
	if lines != total.Scheduled || happened != total.OK {
		t.Errorf("%d lines of which %d happened, the account is %+v", lines, happened, total)
	}
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

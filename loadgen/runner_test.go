package loadgen

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// script is an engine that says what became of each call without sending it.
type script struct {
	reply func(c *Call) Reply
	lose  func(c *Call) bool // breaks the contract of Engine
	err   error
	stop  time.Duration // end as if the engine broke down, before what is due then
}

func (s script) Run(ctx context.Context, job Job) error {
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			var c Call
			for job.Calls.Next(&c) {
				select {
				case <-time.After(time.Until(job.Start.Add(c.Due))):
				case <-ctx.Done():
					job.Replies.Done(&c, &Reply{Sent: -1, Failure: Withdrawn})
					return
				}
				if s.err != nil && c.Due >= s.stop {
					job.Replies.Done(&c, &Reply{Sent: -1, Done: c.Due, Failure: NotSent})
					return
				}
				if s.lose != nil && s.lose(&c) {
					continue
				}
				reply := s.reply(&c)
				job.Replies.Done(&c, &reply)
			}
		})
	}
	workers.Wait()
	return s.err
}

// plain is a workload of numbered orders; each third call is a read.
type plain struct{}

func (plain) Next(c *Call) {
	c.Op = "read"
	if c.Seq%3 != 0 {
		c.Op = "order"
		c.Key = fmt.Appendf(c.Key, "key-%d", c.Seq)
	}
}

func (plain) Judge(_ *Call, r *Reply) Verdict {
	switch {
	case r.Failure != None:
		return r.Failure.Verdict()
	case r.Status >= 500:
		return Verdict{Outcome: Error, Certainty: Unknown, Reason: "500"}
	case r.Status >= 400:
		return Verdict{Outcome: Rejected, Certainty: Refuted, Reason: "429"}
	}
	return Verdict{Outcome: OK, Certainty: Happened}
}

// after is an answer that was sent and done that long after it was due.
func after(c *Call, sent, done time.Duration) Reply {
	return Reply{Sent: c.Due + sent, Done: c.Due + done, Status: 200}
}

func play(t *testing.T, ctx context.Context, cfg Config) (*Report, error) {
	t.Helper()
	if cfg.Workload == nil {
		cfg.Workload = plain{}
	}
	return New(cfg).Run(ctx)
}

var twoPhases = Plan{Phases: []Phase{
	{Name: "warm-up", Law: Constant{100}, For: time.Second},
	{Name: "steady", Law: Constant{300}, For: 2 * time.Second, Record: true},
}}

func TestWarmUpIsCountedAndNotTimed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		report, err := play(t, t.Context(), Config{Plan: twoPhases, Engine: script{reply: func(c *Call) Reply {
			return after(c, time.Millisecond, 3*time.Millisecond)
		}}})
		if err != nil {
			t.Fatal(err)
		}
		warm, steady := report.Phases[0], report.Phases[1]
		if got := warm.Total(); got.OK != 100 || got.Scheduled != 100 {
			t.Errorf("warm-up %+v, want 100 ok", got)
		}
		if got := steady.Total(); got.OK != 600 || got.Scheduled != 600 {
			t.Errorf("steady %+v, want 600 ok", got)
		}
		for op, o := range warm.Ops {
			if n := o.Response.TotalCount() + o.Service.TotalCount() + o.Slip.TotalCount(); n != 0 {
				t.Errorf("%d times of %s in the warm-up, want none", n, op)
			}
		}
		order := steady.Ops["order"]
		for _, h := range []struct {
			name     string
			got, us  int64
			recorded int64
		}{
			{"response", order.Response.ValueAtQuantile(50), 3000, order.Response.TotalCount()},
			{"service", order.Service.ValueAtQuantile(50), 2000, order.Service.TotalCount()},
			{"slip", order.Slip.ValueAtQuantile(50), 1000, order.Slip.TotalCount()},
		} {
			if h.got/10 != h.us/10 || h.recorded != 400 {
				t.Errorf("%s: median %d us of %d, want %d of 400", h.name, h.got, h.recorded, h.us)
			}
		}
		if report.Stopped || steady.Start != time.Second || steady.End != 3*time.Second {
			t.Errorf("stopped %v, steady from %v to %v", report.Stopped, steady.Start, steady.End)
		}
	})
}

func TestPhasesLastAsLongAsTheySay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		plan := Plan{Phases: []Phase{
			{Name: "one", Law: Constant{1}, For: time.Second},
			{Name: "silence", Law: Constant{0}, For: time.Minute},
		}}
		_, err := play(t, t.Context(), Config{Plan: plan, Engine: script{reply: func(c *Call) Reply { return after(c, 0, 0) }}})
		if took := time.Since(start); err != nil || took != 61*time.Second {
			t.Errorf("took %v, error %v; want 1m1s", took, err)
		}
	})
}

func TestWhatIsTimed(t *testing.T) {
	for _, c := range []struct {
		name                    string
		reply                   Reply
		outcome                 func(Counts) uint64
		response, service, slip bool
	}{
		{"an answer", Reply{Status: 200}, func(c Counts) uint64 { return c.OK }, true, true, true},
		{"a rejection is quick and not timed", Reply{Status: 429}, func(c Counts) uint64 { return c.Rejected }, false, false, true},
		{"an error is not timed", Reply{Status: 500}, func(c Counts) uint64 { return c.Error }, false, false, true},
		{"a broken answer is not timed", Reply{Status: 202, Failure: Broken}, func(c Counts) uint64 { return c.Error }, false, false, true},
		{"a refused connection is not timed", Reply{Failure: Refused}, func(c Counts) uint64 { return c.Error }, false, false, true},
		{"a timeout is a lower bound", Reply{Failure: TimedOut}, func(c Counts) uint64 { return c.Timeout }, true, true, true},
		{"an unfinished attempt is a lower bound", Reply{Failure: Unfinished}, func(c Counts) uint64 { return c.Unfinished }, true, true, true},
		{"a dropped attempt waited too", Reply{Sent: -1, Failure: NotSent}, func(c Counts) uint64 { return c.Dropped }, true, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				plan := Plan{Phases: []Phase{{Name: "p", Law: Constant{1}, For: 3 * time.Second, Record: true}}}
				report, err := play(t, t.Context(), Config{Plan: plan, Engine: script{reply: func(call *Call) Reply {
					r := c.reply
					if r.Sent >= 0 {
						r.Sent = call.Due
					}
					r.Done = call.Due + time.Second
					return r
				}}})
				if err != nil {
					t.Fatal(err)
				}
				if n := c.outcome(report.Total()); n != 3 {
					t.Errorf("account %+v, want 3 of them", report.Total())
				}
				o := report.Phases[0].Ops["order"]
				if got := o.Response.TotalCount() == 2; got != c.response {
					t.Errorf("response timed: %v", got)
				}
				if got := o.Service.TotalCount() == 2; got != c.service {
					t.Errorf("service timed: %v", got)
				}
				if got := o.Slip.TotalCount() == 2; got != c.slip {
					t.Errorf("slip timed: %v", got)
				}
			})
		})
	}
}

func TestSlipIsTheGeneratorsOwnLateness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plan := Plan{Phases: []Phase{{Name: "p", Law: Constant{1}, For: 3 * time.Second, Record: true}}}
		report, err := play(t, t.Context(), Config{Plan: plan, Engine: script{reply: func(c *Call) Reply {
			r := after(c, 70*time.Millisecond, 80*time.Millisecond)
			r.Ready = c.Due + 50*time.Millisecond // no connection was free before
			return r
		}}})
		if err != nil {
			t.Fatal(err)
		}
		o := report.Phases[0].Ops["order"]
		if got := o.Slip.Max(); got < 19_900 || got > 20_100 {
			t.Errorf("slip %d us, want 20,000: to wait for a connection is not the generator's lateness", got)
		}
		if got := o.Response.Max(); got < 79_900 || got > 80_100 {
			t.Errorf("response %d us, want 80,000", got)
		}
		if o.Queued != 2 {
			t.Errorf("%d queued, want 2", o.Queued)
		}
	})
}

func TestAccountAddsUpAtRandom(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 0))
			var mu sync.Mutex
			plan := Plan{Seed: seed, Phases: []Phase{
				{Name: "a", Law: Poisson{Constant{200}}, For: time.Second},
				{Name: "b", Law: Poisson{Ramp{0, 400, time.Second}}, For: time.Second, Record: true},
			}}
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rng.Int64N(int64(3*time.Second))))
			defer cancel()
			var text bytes.Buffer
			ledger := NewLedgerWriter(&text)
			report, err := play(t, ctx, Config{Plan: plan, Ledger: ledger, Engine: script{reply: func(c *Call) Reply {
				mu.Lock()
				defer mu.Unlock()
				r := after(c, 0, time.Duration(rng.IntN(1e6)))
				r.Status = 200 + 100*rng.IntN(4)
				r.Failure = Failure(rng.IntN(int(Withdrawn)))
				return r
			}}})
			if err != nil {
				t.Fatal(err)
			}
			orders := uint64(0)
			for _, p := range report.Phases {
				orders += p.Ops["order"].orZero().Counts.Scheduled
			}
			lines, err := read(text.String())
			if err != nil || uint64(len(lines)) != orders || ledger.Lines() != orders {
				t.Errorf("%d orders scheduled, %d in the ledger, error %v", orders, len(lines), err)
			}
		})
	}
}

func (o *OpReport) orZero() *OpReport {
	if o == nil {
		return &OpReport{}
	}
	return o
}

func TestEngineThatLosesACallIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		report, err := play(t, t.Context(), Config{Plan: twoPhases, Engine: script{
			reply: func(c *Call) Reply { return after(c, 0, 0) },
			lose:  func(c *Call) bool { return c.Seq == 333 },
		}})
		if err == nil || !strings.Contains(err.Error(), "200 scheduled, 199 settled") || report == nil {
			t.Errorf("error %v, want that one read is missing", err)
		}
	})
}

func TestEngineThatBreaksDownLeavesAnAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("out of file descriptors")
		report, err := play(t, t.Context(), Config{Plan: twoPhases, Engine: script{
			reply: func(c *Call) Reply { return after(c, 0, 0) },
			err:   broken, stop: 500 * time.Millisecond,
		}})
		if !errors.Is(err, broken) {
			t.Fatalf("error %v, want %v", err, broken)
		}
		got := report.Total()
		if !report.Stopped || got.Scheduled != got.Settled() || got.OK != 50 || got.Dropped == 0 {
			t.Errorf("stopped %v, %+v; want 50 ok, the due ones dropped", report.Stopped, got)
		}
	})
}

func TestLedgerThatCannotBeWrittenStopsTheLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := errors.New("no space left on device")
		plan := Plan{Phases: []Phase{{Name: "long", Law: Constant{1000}, For: time.Hour}}}
		start := time.Now()
		report, err := play(t, t.Context(), Config{
			Plan:   plan,
			Ledger: NewLedgerWriter(writerFunc(func([]byte) (int, error) { return 0, full })),
			Engine: script{reply: func(c *Call) Reply { return after(c, 0, 0) }},
		})
		if !errors.Is(err, full) || report == nil || !report.Stopped {
			t.Errorf("error %v, want %v", err, full)
		}
		if took := time.Since(start); took > time.Minute {
			t.Errorf("the load went on for %v", took)
		}
	})
}

func TestWrongConfigIsReportedAsAWhole(t *testing.T) {
	r := New(Config{Plan: Plan{Phases: []Phase{{Name: "a", For: time.Second}, {Name: "a", Law: Constant{1}}}}})
	r.Snapshot() // of nothing
	_, err := r.Run(t.Context())
	for _, want := range []string{"no arrival law", `two phases named "a"`, "lasts 0s", "no workload", "no engine"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q in it", err, want)
		}
	}
}

func TestSnapshotFollowsTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(Config{Plan: twoPhases, Workload: plain{}, Start: time.Now().Add(time.Second), Engine: script{
			reply: func(c *Call) Reply {
				if c.Due == 500*time.Millisecond {
					time.Sleep(100 * time.Millisecond)
				}
				return after(c, 0, 0)
			},
		}})
		done := make(chan error)
		go func() {
			_, err := r.Run(t.Context())
			done <- err
		}()
		look := func(at time.Duration, phase int, want Counts, inFlight uint64) {
			t.Helper()
			time.Sleep(at - r.Snapshot().At)
			synctest.Wait()
			s := r.Snapshot()
			if s.At != at || s.Phase != phase || s.Total() != want || s.InFlight != inFlight || s.Waiting != 0 {
				t.Errorf("at %v: %+v, total %+v; want phase %d, %+v, %d in flight", at, s, s.Total(), phase, want, inFlight)
			}
		}
		synctest.Wait()
		if s := r.Snapshot(); s.At != -time.Second || s.Phase != -1 {
			t.Errorf("before the start: %+v", s)
		}
		ahead := uint64(3) // this engine asks for four calls ahead, a Snapshot knows of one
		look(505*time.Millisecond, 0, Counts{Scheduled: 51 + ahead - 1, OK: 50}, 1+ahead-1)
		look(1001*time.Millisecond, 1, Counts{Scheduled: 101 + ahead, OK: 101}, ahead)
		if err := <-done; err != nil {
			t.Error(err)
		}
		look(3*time.Second+time.Millisecond, 2, Counts{Scheduled: 700, OK: 700}, 0)
	})
}

func TestSnapshotCountsWhatNobodyTook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		r := New(Config{Plan: twoPhases, Workload: plain{}, Engine: script{reply: func(c *Call) Reply {
			<-release
			return after(c, 0, 0)
		}}})
		done := make(chan error)
		go func() {
			_, err := r.Run(t.Context())
			done <- err
		}()
		time.Sleep(501 * time.Millisecond)
		s := r.Snapshot()
		if s.InFlight != 4 || s.Waiting != 51-4 {
			t.Errorf("%d in flight, %d waiting; want 4 and 47", s.InFlight, s.Waiting)
		}
		close(release)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func BenchmarkRecord(b *testing.B) {
	plan := Plan{Phases: []Phase{{Name: "p", Law: Constant{1}, For: time.Second, Record: true}}}
	r := newRecorder(plan, time.Second)
	b.RunParallel(func(pb *testing.PB) {
		c := Call{Op: "order"}
		reply := Reply{Sent: 20 * time.Microsecond, Done: time.Millisecond}
		for pb.Next() {
			c.Seq++
			r.record(&c, &reply, Verdict{})
		}
	})
}

func TestNothingIsInFlightBeforeTheStart(t *testing.T) {
	r := New(Config{
		Plan:     Plan{Phases: []Phase{{Name: "steady", Law: Constant{PerSecond: 10}, For: time.Second}}},
		Workload: nothing{},
		Engine:   idle{},
		Start:    time.Now().Add(time.Hour),
	})
	if s := r.Snapshot(); s.InFlight != 0 || s.Waiting != 0 || len(s.Ops) != 0 {
		t.Errorf("before the start: %+v", s)
	}
}

// nothing is a workload, and idle an engine, that are never used.
type (
	nothing struct{}
	idle    struct{}
)

func (nothing) Next(*Call)                  {}
func (nothing) Judge(*Call, *Reply) Verdict { return Verdict{} }
func (idle) Run(context.Context, Job) error { return nil }

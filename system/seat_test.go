package system

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fakeFleet has one place, whose processes do as they are told.
type fakeFleet struct {
	mu       sync.Mutex
	began    time.Time
	starts   []time.Duration // since began
	lastly   *fakeProcess
	refuse   error // of Start
	stubborn bool  // processes ignore Terminate
}

func (f *fakeFleet) Replicas() []Replica                                  { return nil }
func (f *fakeFleet) Brokers() []string                                    { return nil }
func (f *fakeFleet) Tail(string, int) string                              { return "last words" }
func (f *fakeFleet) Infrastructure(context.Context) map[string]string     { return nil }
func (f *fakeFleet) Close() error                                         { return nil }
func (f *fakeFleet) Database(context.Context, Component) (*sql.DB, error) { return nil, nil }
func (f *fakeFleet) Start(_ context.Context, replica string) (Process, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.starts = append(f.starts, time.Since(f.began))
	if f.refuse != nil {
		return nil, f.refuse
	}
	f.lastly = &fakeProcess{pid: len(f.starts), stubborn: f.stubborn, done: make(chan struct{})}
	return f.lastly, nil
}

func (f *fakeFleet) latest() *fakeProcess {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lastly
}

func (f *fakeFleet) startedAt() []time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.starts)
}

type fakeProcess struct {
	pid      int
	stubborn bool
	once     sync.Once
	done     chan struct{}
	exit     string
	mu       sync.Mutex
	stopped  bool
}

func (p *fakeProcess) die(how string) {
	p.once.Do(func() { p.exit = how; close(p.done) })
}

func (p *fakeProcess) PID() int              { return p.pid }
func (p *fakeProcess) Done() <-chan struct{} { return p.done }
func (p *fakeProcess) Exit() string          { return p.exit }
func (p *fakeProcess) Kill() error           { p.die("signal: killed"); return nil }
func (p *fakeProcess) Usage() (Usage, error) { return Usage{}, nil }
func (p *fakeProcess) Terminate() error {
	if !p.stubborn {
		p.die("exit status 0")
	}
	return nil
}

func (p *fakeProcess) Pause() error  { p.mu.Lock(); defer p.mu.Unlock(); p.stopped = true; return nil }
func (p *fakeProcess) Resume() error { p.mu.Lock(); defer p.mu.Unlock(); p.stopped = false; return nil }
func (p *fakeProcess) Stopped() (bool, string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stopped, map[bool]string{true: "T", false: "S"}[p.stopped], nil
}

// oneSeat runs test with a stack of one supervised inventory-0, in a bubble.
// ready is what its readiness probe says.
func oneSeat(t *testing.T, ready func() error, test func(t *testing.T, s *Stack, f *fakeFleet)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := &fakeFleet{began: time.Now()}
		s := &Stack{fleet: f, cfg: DefaultConfig(), log: slog.New(slog.DiscardHandler), desired: map[Component]int{}}
		s.cfg.Inventory.MaxReplicas = 1
		probe := func(context.Context) error { return ready() }
		st := newSeat(Replica{Name: "inventory-0", Component: Inventory}, f, probe, s.log)
		s.seats = []*seat{st}
		ctx, cancel := context.WithCancel(context.Background())
		s.supervisors.Go(func() { st.supervise(ctx) })
		test(t, s, f)
		over, stop := context.WithCancel(context.Background())
		stop()
		st.stop(over)
		cancel()
		s.supervisors.Wait()
	})
}

func alwaysReady() error { return nil }

func scale(t *testing.T, s *Stack, n int) {
	t.Helper()
	if err := s.Scale(t.Context(), Inventory, n); err != nil {
		t.Fatal(err)
	}
}

func TestWhatDiesIsStartedAgainLaterEachTime(t *testing.T) {
	oneSeat(t, alwaysReady, func(t *testing.T, s *Stack, f *fakeFleet) {
		scale(t, s, 1)
		for range 8 {
			f.latest().die("exit status 1")
			time.Sleep(lastBackoff + time.Millisecond)
			if _, _, err := s.AwaitReady(t.Context(), "inventory-0"); err != nil {
				t.Fatal(err)
			}
		}
		starts := f.startedAt()
		want := []time.Duration{100, 200, 400, 800, 1600, 3200, 5000, 5000}
		at := time.Duration(0)
		for i, w := range want {
			if got := starts[i+1] - at; got != w*time.Millisecond {
				t.Errorf("restart %d came after %s, want %dms", i+1, got, w)
			}
			at += lastBackoff + time.Millisecond
		}
	})
}

func TestTenSteadySecondsMakeTheBackoffShortAgain(t *testing.T) {
	oneSeat(t, alwaysReady, func(t *testing.T, s *Stack, f *fakeFleet) {
		scale(t, s, 1)
		for range 5 {
			f.latest().die("exit status 1")
			time.Sleep(4 * time.Second)
		}
		time.Sleep(steadyAfter)
		died := time.Since(f.began)
		f.latest().die("exit status 1")
		time.Sleep(time.Second)
		starts := f.startedAt()
		if got := starts[len(starts)-1] - died; got != firstBackoff {
			t.Errorf("it came back after %s, want %s", got, firstBackoff)
		}
	})
}

func TestReplicaThatCannotStartIsTriedAgain(t *testing.T) {
	oneSeat(t, alwaysReady, func(t *testing.T, s *Stack, f *fakeFleet) {
		f.refuse = errors.New("fork: no memory")
		s.seats[0].want(true)
		err := s.seats[0].awaitBoot(t.Context())
		if err == nil || !strings.HasPrefix(err.Error(), "start inventory-0: fork: no memory") {
			t.Errorf("boot error %v", err)
		}
		time.Sleep(time.Second)
		if n := len(f.startedAt()); n != 4 { // at 0, 100, 300, 700 ms
			t.Errorf("%d starts within a second, want 4", n)
		}
	})
}

func TestBootErrorSaysHowItEndedAndItsLastWords(t *testing.T) {
	oneSeat(t, func() error { return errors.New("no") }, func(t *testing.T, s *Stack, f *fakeFleet) {
		s.seats[0].want(true)
		synctest.Wait()
		f.latest().die("exit status 3")
		err := s.seats[0].awaitBoot(t.Context())
		want := "start inventory-0: exit status 3; the end of its log:\n  last words"
		if err == nil || err.Error() != want {
			t.Errorf("%v\nwant %s", err, want)
		}
	})
}

func TestBootErrorSaysWhatIsNotReady(t *testing.T) {
	oneSeat(t, func() error { return errors.New("waits for the broker") }, func(t *testing.T, s *Stack, f *fakeFleet) {
		s.seats[0].want(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := s.seats[0].awaitBoot(ctx)
		if err == nil || !strings.Contains(err.Error(), "not ready (waits for the broker): context deadline exceeded; the end of its log") {
			t.Errorf("error %v", err)
		}
	})
}

func TestKillHoldsDownForAsLongAsAsked(t *testing.T) {
	oneSeat(t, alwaysReady, func(t *testing.T, s *Stack, f *fakeFleet) {
		scale(t, s, 1)
		time.Sleep(time.Second)
		killed := time.Since(f.began)
		_, detail, err := s.Kill(t.Context(), "inventory-0", 7*time.Second)
		if err != nil || detail != "pid 1 is gone (signal: killed)" {
			t.Fatalf("%q, %v", detail, err)
		}
		if names := s.Running("inventory"); len(names) != 0 {
			t.Errorf("%v run", names)
		}
		if status, _ := s.seats[0].status(); status.State != Held {
			t.Errorf("it is %s, want held", status.State)
		}
		if _, _, err := s.Kill(t.Context(), "inventory-0", 0); err == nil || !strings.Contains(err.Error(), "it is held") {
			t.Errorf("a second kill: %v", err)
		}
		if _, _, err := s.AwaitReady(t.Context(), "inventory-0"); err != nil {
			t.Fatal(err)
		}
		if got := f.startedAt()[1] - killed; got != 7*time.Second {
			t.Errorf("it came back after %s, want 7s", got)
		}
	})
}

func TestRestartLiftsAHold(t *testing.T) {
	oneSeat(t, alwaysReady, func(t *testing.T, s *Stack, f *fakeFleet) {
		scale(t, s, 1)
		if _, _, err := s.Kill(t.Context(), "inventory-0", time.Hour); err != nil {
			t.Fatal(err)
		}
		before := time.Now()
		at, detail, err := s.Restart(t.Context(), "inventory-0")
		if err != nil || detail != "pid 2 is ready, 0 ms after its start" || at.Sub(before) != 0 {
			t.Errorf("%s after the order: %q, %v", at.Sub(before), detail, err)
		}
	})
}

func TestRestartIsGracefulAndKnowsNoBackoff(t *testing.T) {
	oneSeat(t, alwaysReady, func(t *testing.T, s *Stack, f *fakeFleet) {
		scale(t, s, 1)
		for n := range 5 {
			_, detail, err := s.Restart(t.Context(), "inventory-0")
			want := fmt.Sprintf("pid %d is gone (exit status 0); pid %d is ready, 0 ms after its start", n+1, n+2)
			if err != nil || detail != want {
				t.Errorf("%q, %v, want %q", detail, err, want)
			}
		}
		if got := time.Since(f.began); got != 0 {
			t.Errorf("five restarts took %s", got)
		}
		if status, _ := s.seats[0].status(); status.Restarts != 5 {
			t.Errorf("%d restarts in the status", status.Restarts)
		}
	})
}

func TestRestartOfWhatIgnoresTerminateKillsAfterTheGrace(t *testing.T) {
	oneSeat(t, alwaysReady, func(t *testing.T, s *Stack, f *fakeFleet) {
		f.stubborn = true
		scale(t, s, 1)
		_, detail, err := s.Restart(t.Context(), "inventory-0")
		if err != nil || !strings.HasPrefix(detail, "pid 1 is gone (signal: killed)") {
			t.Errorf("%q, %v", detail, err)
		}
		if got := time.Since(f.began); got != stopGrace {
			t.Errorf("it took %s, want %s", got, stopGrace)
		}
	})
}

func TestPauseAndResume(t *testing.T) {
	oneSeat(t, alwaysReady, func(t *testing.T, s *Stack, f *fakeFleet) {
		scale(t, s, 1)
		if _, detail, err := s.Pause(t.Context(), "inventory-0"); err != nil || detail != "pid 1 is in state T" {
			t.Fatalf("%q, %v", detail, err)
		}
		time.Sleep(time.Minute) // probes must not call it ready
		if status, _ := s.seats[0].status(); status.State != Paused {
			t.Errorf("it is %s, want paused", status.State)
		}
		if names := s.Running("inventory"); len(names) != 1 {
			t.Errorf("%v run: a paused one has a process", names)
		}
		resumed := time.Now()
		if _, detail, err := s.Resume(t.Context(), "inventory-0"); err != nil || detail != "pid 1 is in state S" {
			t.Fatalf("%q, %v", detail, err)
		}
		at, _, err := s.AwaitReady(t.Context(), "inventory-0")
		if err != nil || at.Before(resumed) {
			t.Errorf("ready %s before it was resumed, %v", resumed.Sub(at), err)
		}
	})
}

func TestAPausedReplicaCanBeKilled(t *testing.T) {
	oneSeat(t, alwaysReady, func(t *testing.T, s *Stack, f *fakeFleet) {
		scale(t, s, 1)
		if _, _, err := s.Pause(t.Context(), "inventory-0"); err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.Kill(t.Context(), "inventory-0", 0); err != nil {
			t.Fatal(err)
		}
		if _, detail, err := s.AwaitReady(t.Context(), "inventory-0"); err != nil || !strings.HasPrefix(detail, "pid 2") {
			t.Errorf("%q, %v", detail, err)
		}
	})
}

func TestWhatIsScaledAwaySaysSo(t *testing.T) {
	oneSeat(t, alwaysReady, func(t *testing.T, s *Stack, f *fakeFleet) {
		scale(t, s, 1)
		if _, _, err := s.Kill(t.Context(), "inventory-0", time.Hour); err != nil {
			t.Fatal(err)
		}
		waits := make(chan error)
		go func() {
			_, _, err := s.AwaitReady(t.Context(), "inventory-0")
			waits <- err
		}()
		synctest.Wait()
		scale(t, s, 0)
		if err := <-waits; !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("who waited for it: %v", err)
		}
		if _, _, err := s.Resume(t.Context(), "inventory-0"); !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("resume: %v", err)
		}
		if _, _, err := s.Restart(t.Context(), "inventory-0"); !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("restart: %v", err)
		}
		if n := len(f.startedAt()); n != 1 {
			t.Errorf("%d starts", n)
		}
	})
}

func TestScaleForgetsHoldAndBackoffOfBefore(t *testing.T) {
	oneSeat(t, alwaysReady, func(t *testing.T, s *Stack, f *fakeFleet) {
		scale(t, s, 1)
		if _, _, err := s.Kill(t.Context(), "inventory-0", time.Hour); err != nil {
			t.Fatal(err)
		}
		scale(t, s, 0)
		scale(t, s, 1)
		if got := time.Since(f.began); got != 0 {
			t.Errorf("it was held for %s after it was wanted anew", got)
		}
	})
}

func TestScaleBoundsAndErrors(t *testing.T) {
	oneSeat(t, alwaysReady, func(t *testing.T, s *Stack, f *fakeFleet) {
		for c, n := range map[Component]int{Inventory: 2, "inventroy": 1, Broker: 2, Order: -1} {
			if err := s.Scale(t.Context(), c, n); err == nil {
				t.Errorf("%s was scaled to %d", c, n)
			}
		}
	})
}

func TestStopKillsWhenTimeIsUp(t *testing.T) {
	oneSeat(t, alwaysReady, func(t *testing.T, s *Stack, f *fakeFleet) {
		f.stubborn = true
		scale(t, s, 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		s.seats[0].stop(ctx)
		if got, exit := time.Since(f.began), f.latest().Exit(); got != time.Second || exit != "signal: killed" {
			t.Errorf("it ended with %q after %s", exit, got)
		}
	})
}

func TestReadinessThatComesAndGoes(t *testing.T) {
	var mu sync.Mutex
	answer := errors.New("not yet")
	ready := func() error { mu.Lock(); defer mu.Unlock(); return answer }
	say := func(err error) { mu.Lock(); defer mu.Unlock(); answer = err }
	oneSeat(t, ready, func(t *testing.T, s *Stack, f *fakeFleet) {
		state := func() State { status, _ := s.seats[0].status(); return status.State }
		s.seats[0].want(true)
		time.Sleep(3 * time.Second)
		if got := state(); got != Starting {
			t.Errorf("it is %s, want starting", got)
		}
		say(nil)
		time.Sleep(time.Second)
		if got := state(); got != Ready {
			t.Errorf("it is %s, want ready", got)
		}
		say(errors.New("lost the broker"))
		time.Sleep(time.Second)
		if got := state(); got != Unready {
			t.Errorf("it is %s, want unready", got)
		}
	})
}

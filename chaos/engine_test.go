package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// lab is a set of processes that exist only here. An effect takes 10 ms, a
// start one second.
type lab struct {
	mu      sync.Mutex
	state   map[string]string // running, paused, dead, gone
	backAt  map[string]time.Time
	refuses map[string]error // effect+replica -> error
	hangs   bool             // effects never show
	calls   []string
}

const (
	effectTime = 10 * time.Millisecond
	startTime  = time.Second
)

func newLab(replicas ...string) *lab {
	l := &lab{state: map[string]string{}, backAt: map[string]time.Time{}, refuses: map[string]error{}}
	for _, r := range replicas {
		l.state[r] = "running"
	}
	return l
}

func (l *lab) Running(component string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var names []string
	for r, s := range l.state {
		if strings.HasPrefix(r, component+"-") && (s == "running" || s == "paused") {
			names = append(names, r)
		}
	}
	slices.Sort(names)
	return names
}

func (l *lab) Down(component string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var names []string
	for r, s := range l.state {
		if strings.HasPrefix(r, component+"-") && s == "dead" {
			names = append(names, r)
		}
	}
	slices.Sort(names)
	return names
}

func (l *lab) Away(replica string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch s := l.state[replica]; s {
	case "paused":
		return s
	case "dead":
		return "down"
	}
	return ""
}

func (l *lab) Known(target string) bool {
	_, ok := l.state[target]
	return ok || slices.Contains(components, target)
}

func (l *lab) do(ctx context.Context, verb, replica string, takes time.Duration, change func()) (time.Time, string, error) {
	l.mu.Lock()
	l.calls = append(l.calls, verb+" "+replica)
	err, hangs := l.refuses[verb+" "+replica], l.hangs
	if verb == "pause" && l.state[replica] == "dead" {
		err = errors.New("it has no process")
	}
	if l.state[replica] == "gone" {
		err = os.ErrProcessDone
	}
	l.mu.Unlock()
	if err != nil {
		return time.Time{}, "", fmt.Errorf("%s %s: %w", verb, replica, err)
	}
	if hangs {
		takes = time.Hour
	}
	select {
	case <-time.After(takes):
	case <-ctx.Done():
		return time.Time{}, "", ctx.Err()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
	return time.Now(), verb + " seen", nil
}

func (l *lab) Kill(ctx context.Context, r string, hold time.Duration) (time.Time, string, error) {
	return l.do(ctx, "kill", r, effectTime, func() {
		l.state[r], l.backAt[r] = "dead", time.Now().Add(hold+startTime)
	})
}

func (l *lab) Pause(ctx context.Context, r string) (time.Time, string, error) {
	return l.do(ctx, "pause", r, effectTime, func() { l.state[r] = "paused" })
}

func (l *lab) Resume(ctx context.Context, r string) (time.Time, string, error) {
	return l.do(ctx, "resume", r, effectTime, func() { l.state[r] = "running" })
}

func (l *lab) Stop(ctx context.Context, r string, hold time.Duration) (time.Time, string, error) {
	return l.do(ctx, "stop", r, effectTime, func() {
		l.state[r], l.backAt[r] = "dead", time.Now().Add(hold+startTime)
	})
}

func (l *lab) Restart(ctx context.Context, r string) (time.Time, string, error) {
	return l.do(ctx, "restart", r, startTime, func() { l.state[r], l.backAt[r] = "running", time.Time{} })
}

func (l *lab) AwaitReady(ctx context.Context, r string) (time.Time, string, error) {
	l.mu.Lock()
	wait := time.Until(l.backAt[r])
	paused := l.state[r] == "paused"
	l.mu.Unlock()
	if paused {
		wait = time.Hour
	}
	return l.do(ctx, "ready", r, max(0, wait), func() {
		if l.state[r] == "dead" {
			l.state[r] = "running"
		}
	})
}

func (l *lab) stateOf(r string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state[r]
}

func (l *lab) called(call string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Contains(l.calls, call)
}

func TestFaults(t *testing.T) {
	for _, tt := range []struct {
		name      string
		spec      Spec
		replicas  []string
		started   time.Duration // from the injection
		ended     time.Duration // 0: it stands
		effective bool
	}{
		{
			name:     "kill takes all that run and ends when the last is ready",
			spec:     Spec{Fault: "kill", Target: "inventory"},
			replicas: []string{"inventory-0", "inventory-1", "inventory-2"}, started: effectTime, ended: effectTime + startTime, effective: true,
		},
		{
			name:     "kill can hold a replica down",
			spec:     Spec{Fault: "kill", Target: "inventory-1", Options: Options{"restart_after": "2s"}},
			replicas: []string{"inventory-1"}, started: effectTime, ended: effectTime + 2*time.Second + startTime, effective: true,
		},
		{
			name:     "some replicas are the lowest",
			spec:     Spec{Fault: "kill", Target: "inventory", Options: Options{"replicas": "2"}},
			replicas: []string{"inventory-0", "inventory-1"}, started: effectTime, ended: effectTime + startTime, effective: true,
		},
		{
			name:     "pause ends after its time",
			spec:     Spec{Fault: "pause", Target: "broker", Options: Options{"for": "5100ms"}},
			replicas: []string{"broker-0"}, started: effectTime, ended: 5100*time.Millisecond + effectTime, effective: true,
		},
		{
			name:     "pause without an end stands",
			spec:     Spec{Fault: "pause", Target: "broker"},
			replicas: []string{"broker-0"}, started: effectTime, effective: true,
		},
		{
			name:     "restart is over when the replica is ready",
			spec:     Spec{Fault: "restart", Target: "broker"},
			replicas: []string{"broker-0"}, started: 0, ended: startTime, effective: true,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab("inventory-0", "inventory-1", "inventory-2", "broker-0")
				e := New(l, nil, nil)
				began := time.Now()
				at, err := e.Inject(t.Context(), tt.spec)
				if err != nil {
					t.Fatal(err)
				}
				if !at.Effective || len(at.Proof) != len(tt.replicas) {
					t.Errorf("no proof at once: %+v", at)
				}
				e.Wait()
				r := e.Records()[0]
				if diff := cmp.Diff(tt.replicas, r.Replicas); diff != "" {
					t.Errorf("replicas, -want +got:\n%s", diff)
				}
				if got := r.Started.Sub(began); got != tt.started {
					t.Errorf("started after %s, want %s", got, tt.started)
				}
				switch {
				case tt.ended == 0 && (r.Reverted || !r.Ended.IsZero()):
					t.Errorf("it ended: %+v", r)
				case tt.ended != 0 && (!r.Reverted || r.Ended.Sub(began) != tt.ended):
					t.Errorf("ended after %s, want %s", r.Ended.Sub(began), tt.ended)
				}
				if r.Effective != tt.effective || r.Error != "" || r.Spec.Name != tt.spec.Fault+"-"+tt.spec.Target {
					t.Errorf("record %+v", r)
				}
				if _, err := e.Heal(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestUsageErrorsNameWhatIsMeant(t *testing.T) {
	for _, tt := range []struct {
		name string
		spec Spec
		want string
	}{
		{"fault", Spec{Fault: "kil", Target: "broker"}, `unknown fault "kil" (did you mean "kill"?)`},
		{"a fault like no other", Spec{Fault: "earthquake", Target: "broker"}, `unknown fault "earthquake" (known: kill, stop, pause, resume, restart, `},
		{"target", Spec{Fault: "kill", Target: "inventroy"}, `unknown target "inventroy" (did you mean "inventory"?)`},
		{"replica number", Spec{Fault: "kill", Target: "inventory-x"}, `unknown target "inventory-x" (did you mean "inventory"?)`},
		{"replica that is not there", Spec{Fault: "kill", Target: "inventory-9"}, `there is no inventory-9 here`},
		{"option of another fault", Spec{Fault: "kill", Target: "broker", Options: Options{"for": "1s"}}, `kill has no for (kill takes restart_after, replicas)`},
		{"negative duration", Spec{Fault: "pause", Target: "broker", Options: Options{"for": "-1s"}}, `for: "-1s" is negative`},
		{"several of one", Spec{Fault: "kill", Target: "broker-0", Options: Options{"replicas": "2"}}, `replicas: broker-0 is one replica (target the component to take several)`},
		{"negative replicas", Spec{Fault: "kill", Target: "broker", Options: Options{"replicas": "-1"}}, `replicas: -1 is negative`},
		{"more than run", Spec{Fault: "kill", Target: "inventory", Options: Options{"replicas": "5"}}, `kill 5 replicas of inventory: there are 2`},
		{"nothing runs", Spec{Fault: "kill", Target: "cache"}, `cache is not running (ordbench status shows what is)`},
		{"nothing is paused", Spec{Fault: "resume", Target: "broker"}, `broker is not paused`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := New(newLab("inventory-0", "inventory-1", "broker-0"), nil, nil)
			_, err := e.Inject(t.Context(), tt.spec)
			var usage *UsageError
			if !errors.As(err, &usage) || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
			if len(e.Records()) != 0 {
				t.Error("what was never injected stands in the records")
			}
		})
	}
}

func TestValidateReportsEveryProblem(t *testing.T) {
	problems := Spec{Fault: "pause", Target: "broke", Options: Options{"replicas": "-1", "restart_after": "-1s"}}.Validate()
	var fields []string
	for _, p := range problems {
		fields = append(fields, p.Field)
	}
	if diff := cmp.Diff([]string{"target", "replicas", "restart_after"}, fields); diff != "" {
		t.Error(diff)
	}
}

func TestPausesEndByResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab("inventory-0", "inventory-1")
		e := New(l, nil, nil)
		inject := func(s Spec) Record {
			t.Helper()
			r, err := e.Inject(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		inject(Spec{Fault: "pause", Target: "inventory"})
		if _, err := e.Inject(t.Context(), Spec{Fault: "pause", Target: "inventory-0"}); err == nil || err.Error() != "inventory-0 is paused (resume it first)" {
			t.Errorf("paused twice: %v", err)
		}
		inject(Spec{Fault: "resume", Target: "inventory-0"})
		if r := e.Records()[0]; r.Reverted || !r.Ended.IsZero() {
			t.Errorf("half a resume ended it: %+v", r)
		}
		last := inject(Spec{Fault: "resume", Target: "inventory"})
		if diff := cmp.Diff([]string{"inventory-1"}, last.Replicas); diff != "" {
			t.Error(diff)
		}
		if r := e.Records()[0]; !r.Reverted || !r.Ended.Equal(last.Started) {
			t.Errorf("after resume: %+v", r)
		}
		if !last.Effective || !last.Reverted {
			t.Errorf("resume: %+v", last)
		}
		if healed, err := e.Heal(t.Context()); err != nil || len(healed) != 0 {
			t.Errorf("nothing stands, healed %v, %v", healed, err)
		}
	})
}

func TestAPauseComesBackAfterARestartOfItsTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab("order-0")
		e := New(l, nil, nil)
		for _, s := range []Spec{{Fault: "pause", Target: "order", Options: Options{"for": "10s"}}, {Fault: "kill", Target: "order"}} {
			if _, err := e.Inject(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Second)
		if state := l.stateOf("order-0"); state != "paused" {
			t.Errorf("what came in its place is %s", state)
		}
		e.Wait()
		if state := l.stateOf("order-0"); state != "running" {
			t.Errorf("it is %s when all is over", state)
		}
		if r := e.Records()[0]; !r.Reverted || r.Ended.IsZero() {
			t.Errorf("%s stands: %+v", r.Spec.Name, r)
		}
	})
}

func TestHealEndsWhatStands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab("order-0", "broker-0", "cache-0")
		e := New(l, nil, nil)
		for _, s := range []Spec{
			{Fault: "pause", Target: "broker"},
			{Fault: "pause", Target: "cache", Options: Options{"for": "1h"}},
			{Fault: "kill", Target: "order", Options: Options{"restart_after": "1h"}},
		} {
			if _, err := e.Inject(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		began := time.Now()
		healed, err := e.Heal(cancelled)
		if err != nil || len(healed) != 3 {
			t.Fatalf("healed %v, %v", healed, err)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("heal waited for the faults to end by themselves: %s", took)
		}
		for _, r := range healed {
			if !r.Reverted || r.Ended.IsZero() || !r.Effective {
				t.Errorf("not healed: %+v", r)
			}
			if !l.called("ready " + r.Replicas[0]) {
				t.Errorf("%s: nobody waited until %s was ready", r.Spec.Name, r.Replicas[0])
			}
		}
		if len(l.Running("order")) != 1 {
			t.Error("order is still held down")
		}
	})
}

func TestHealTriesTwiceAndSaysWhatStands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab("broker-0")
		e := New(l, nil, nil)
		if _, err := e.Inject(t.Context(), Spec{Fault: "pause", Target: "broker"}); err != nil {
			t.Fatal(err)
		}
		l.refuses["resume broker-0"] = errors.New("operation not permitted")
		if _, err := e.Heal(t.Context()); err == nil || !strings.Contains(err.Error(), "heal pause-broker: resume broker-0: operation not permitted") {
			t.Errorf("heal: %v", err)
		}
		if r := e.Records()[0]; r.Reverted || r.Error == "" {
			t.Errorf("it claims to be undone: %+v", r)
		}
		delete(l.refuses, "resume broker-0")
		healed, err := e.Heal(t.Context())
		if err != nil || len(healed) != 1 || !healed[0].Reverted {
			t.Errorf("second heal: %+v, %v", healed, err)
		}
	})
}

func TestAFaultWithoutEffectSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab("inventory-0", "inventory-1")
		l.refuses["kill inventory-1"] = errors.New("operation not permitted")
		e := New(l, nil, nil)
		r, err := e.Inject(t.Context(), Spec{Fault: "kill", Target: "inventory"})
		if err == nil || err.Error() != "kill inventory-1: operation not permitted" {
			t.Errorf("error %v", err)
		}
		if r.Effective || r.Error == "" || strings.Contains(strings.Join(r.Proof, " "), "inventory-1: kill") {
			t.Errorf("half an effect: %+v", r)
		}
		e.Wait()
	})
}

func TestAnEffectThatIsNeverSeenIsNoEffect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab("broker-0")
		l.hangs = true
		e := New(l, nil, nil)
		r, err := e.Inject(t.Context(), Spec{Fault: "pause", Target: "broker"})
		if !errors.Is(err, context.DeadlineExceeded) || r.Effective {
			t.Errorf("%+v, %v", r, err)
		}
		// It may have happened unseen, so it is undone all the same.
		l.hangs = false
		if _, err := e.Heal(t.Context()); err != nil || !l.called("resume broker-0") {
			t.Errorf("heal: %v", err)
		}
	})
}

func TestReplicasScaledAwayArePassedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab("inventory-0", "inventory-1")
		e := New(l, nil, nil)
		if _, err := e.Inject(t.Context(), Spec{Fault: "pause", Target: "inventory", Options: Options{"for": "1s"}}); err != nil {
			t.Fatal(err)
		}
		l.mu.Lock()
		l.state["inventory-1"] = "gone"
		l.mu.Unlock()
		e.Wait()
		if r := e.Records()[0]; !r.Reverted || r.Error != "" {
			t.Errorf("%+v", r)
		}
		if _, err := e.Heal(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestPlayKeepsItsPlan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab("inventory-0", "broker-0")
		e := New(l, nil, nil)
		start := time.Now()
		e.Play(t.Context(), start, []Timed{
			{At: 5 * time.Second, Spec: Spec{Fault: "kill", Target: "inventory"}},
			{At: 2 * time.Second, Spec: Spec{Fault: "restart", Target: "broker"}},
			{At: 2500 * time.Millisecond, Spec: Spec{Fault: "pause", Target: "inventory", Options: Options{"for": "1s"}}},
			{At: 6 * time.Second, Spec: Spec{Name: "late", Fault: "resume", Target: "broker"}},
		})
		if took := time.Since(start); took != 6*time.Second {
			t.Errorf("Play returned after %s", took)
		}
		e.Wait()
		var got []string
		for _, r := range e.Records() {
			got = append(got, fmt.Sprintf("%s planned %s effective %t %s", r.Spec.Name, r.Planned.Sub(start), r.Effective, r.Error))
		}
		want := []string{
			"restart-broker planned 2s effective true ",
			"pause-inventory planned 2.5s effective true ",
			"kill-inventory planned 5s effective true ",
			"late planned 6s effective false broker is not paused",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestPlayRecordsWhatTheEndPrevented(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := New(newLab("broker-0"), nil, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		e.Play(ctx, time.Now(), []Timed{{At: 2 * time.Second, Spec: Spec{Fault: "kill", Target: "broker"}}})
		r := e.Records()
		if len(r) != 1 || r[0].Effective || !strings.HasPrefix(r[0].Error, "not injected") {
			t.Errorf("%+v", r)
		}
		e.Wait()
	})
}

func TestNamesAreUnique(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := New(newLab("broker-0"), nil, nil)
		for range 2 {
			if _, err := e.Inject(t.Context(), Spec{Fault: "restart", Target: "broker"}); err != nil {
				t.Fatal(err)
			}
		}
		if r := e.Records(); r[0].Spec.Name != "restart-broker" || r[1].Spec.Name != "restart-broker-2" {
			t.Errorf("%s, %s", r[0].Spec.Name, r[1].Spec.Name)
		}
	})
}

func TestCatalogueIsComplete(t *testing.T) {
	for _, d := range Catalogue() {
		if d.Summary == "" || len(d.Targets) == 0 || !strings.HasPrefix(d.Example, "ordbench chaos "+d.Name+" ") {
			t.Errorf("%+v", d)
		}
		spec := Spec{Fault: d.Name, Target: d.Targets[0], Options: Options{}}
		if _, takes := d.option("point"); takes { // it has no default
			spec.Options["point"] = Points(d.Targets[0])[0]
		}
		if problems := spec.Validate(); len(problems) > 0 {
			t.Errorf("%s: %v", d.Name, problems[0])
		}
	}
}

// What was drawn and could not be made, because another fault had its target
// down at that moment, is left out. What was planned is missing, and so is what
// could not be made for no such reason.
func TestADrawnFaultInTheWayOfAnotherIsLeftOut(t *testing.T) {
	for _, tt := range []struct {
		name    string
		source  string
		beside  *Spec
		skipped bool
	}{
		{"drawn, beside a restart of its target", "nemesis", &Spec{Fault: "restart", Target: "broker", Source: "nemesis"}, true},
		{"planned, beside a restart of its target", "scenario", &Spec{Fault: "restart", Target: "broker", Source: "nemesis"}, false},
		{"drawn, beside a restart of something else", "nemesis", &Spec{Fault: "restart", Target: "cache", Source: "nemesis"}, false},
		{"drawn, alone", "nemesis", nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab("broker-0", "cache-0")
				l.refuses["pause broker-0"] = errors.New("connection refused")
				e := New(l, nil, nil)
				timeline := []Timed{{At: startTime / 2, Spec: Spec{Fault: "pause", Target: "broker", Source: tt.source, Options: Options{"for": "1s"}}}}
				if tt.beside != nil {
					timeline = append(timeline, Timed{Spec: *tt.beside})
				}
				e.Play(t.Context(), time.Now(), timeline)
				e.Wait()
				records := e.Records()
				r := records[len(records)-1]
				if r.Effective || (r.Skipped != "") != tt.skipped || (r.Error == "") != tt.skipped {
					t.Errorf("left out: %q, error: %q", r.Skipped, r.Error)
				}
				if tt.skipped && r.Skipped != "restart-broker was in its way: pause broker-0: connection refused" {
					t.Error(r.Skipped)
				}
			})
		})
	}
}

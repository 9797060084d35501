package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ordbench/ordbench/chaos/proxy"
)

// plant is a lab with levers, which move at once where a process runs, and a
// link. Who asks one that is paused is answered when it runs again, or gives
// up after a second; one that hangs never answers at all.
type plant struct {
	*lab
	hung  string // a replica that hangs
	moved map[string]time.Time
	slow  time.Duration // that a probe takes
	rules int
}

func newPlant(replicas ...string) *plant {
	return &plant{lab: newLab(replicas...), moved: map[string]time.Time{}}
}

const askLimit = time.Second

func (p *plant) ask(ctx context.Context, replica string) error {
	if replica == p.hung {
		<-ctx.Done()
		return ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	for p.stateOf(replica) == "paused" {
		if !sleep(ctx, time.Millisecond) {
			return ctx.Err()
		}
	}
	switch p.stateOf(replica) {
	case "gone":
		return os.ErrProcessDone
	case "dead":
		return errors.New("it has no process")
	}
	return nil
}

func (p *plant) Move(ctx context.Context, replica, _ string, _ map[string]string, _ time.Duration) (int64, bool, error) {
	if err := p.ask(ctx, replica); err != nil {
		return 0, false, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_, stood := p.moved[replica]
	if !stood {
		p.moved[replica] = time.Now()
	}
	return 1, !stood, nil
}

func (p *plant) LetGo(ctx context.Context, replica, _ string) (int64, error) {
	if p.stateOf(replica) != "dead" {
		if err := p.ask(ctx, replica); err != nil {
			return 0, err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.moved, replica)
	return 1, nil
}

func (p *plant) Link(string) ([]Proxy, error) { return []Proxy{p}, nil }

func (p *plant) Set(string, proxy.Rule) error {
	p.stand(1)
	return nil
}

func (p *plant) Clear(string) (proxy.Count, error) {
	p.stand(-1)
	return proxy.Count{Connections: 1}, nil
}

func (p *plant) Count(string) (proxy.Count, bool) { return proxy.Count{Connections: 1}, true }

func (p *plant) stand(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rules += n
}

func (p *plant) movedAt(replica string) (time.Time, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at, moved := p.moved[replica]
	return at, moved
}

// slowOnes is how many replicas have the lever set.
func (p *plant) slowOnes() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.moved)
}

func (p *plant) Probe(ctx context.Context, _ int) (proxy.Probe, error) {
	sleep(ctx, p.slow)
	return proxy.Probe{Took: p.slow}, nil
}

// edges are the times of a record from the start of a plan.
func edges(r Record, start time.Time) string {
	ended := "stands"
	if !r.Ended.IsZero() {
		ended = r.Ended.Sub(start).String()
	}
	return fmt.Sprintf("%s %s to %s, reverted %t", r.Spec.Name, r.Started.Sub(start), ended, r.Reverted)
}

func slowly(name, target, length string, options ...string) Spec {
	o := Options{"for": length}
	for i := 0; i+1 < len(options); i += 2 {
		o[options[i]] = options[i+1]
	}
	return Spec{Name: name, Fault: "slow-database", Target: target, Options: o}
}

// One target answers nobody, ever. What is planned for the others, before,
// beside and after, is there and over to the nanosecond, on one replica or on
// two of three.
func TestNoEdgeWaitsForTheTargetOfAnotherFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlant("order-0", "payment-0", "payment-1", "payment-2", "inventory-0", "broker-0")
		p.hung = "payment-1"
		e := New(p, nil, nil)
		start := time.Now()
		at := func(ms int, s Spec) Timed { return Timed{At: time.Duration(ms) * time.Millisecond, Spec: s} }
		var played = make(chan struct{})
		go func() {
			defer close(played)
			e.Play(t.Context(), start, []Timed{
				at(1000, slowly("two of three", "payment", "2s")),
				at(1000, slowly("at once", "order", "500ms")),
				at(1001, slowly("in vain", "payment-1", "700ms")),
				at(1500, slowly("beside it", "inventory", "1s")),
				at(1700, Spec{Name: "paused", Fault: "pause", Target: "broker", Options: Options{"for": "300ms"}}),
				at(2750, slowly("later", "order", "250ms")),
				at(3000, Spec{Name: "cut off", Fault: "latency", Target: "gateway->order", Options: Options{"for": "100ms"}}),
			})
		}()
		time.Sleep(3500 * time.Millisecond)
		var got []string
		for _, r := range e.Records() {
			if r.Spec.Name != "in vain" && r.Spec.Name != "two of three" {
				got = append(got, edges(r, start))
			}
		}
		slices.Sort(got)
		want := []string{
			"at once 1s to 1.5s, reverted true",
			"beside it 1.5s to 2.5s, reverted true",
			"cut off 3s to 3.1s, reverted true",
			"later 2.75s to 3s, reverted true",
			"paused 1.71s to 2.01s, reverted true", // a signal is seen after 10 ms
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		for _, replica := range []string{"payment-0", "payment-2"} {
			if _, moved := p.movedAt(replica); moved {
				t.Errorf("%s is still slow: its end waits for the one that hangs", replica)
			}
		}
		<-played
		e.Wait()
		if took := time.Since(start); took > 4*time.Minute {
			t.Errorf("what hangs is given up after %s", took)
		}
	})
}

// A fault of three replicas is there as soon as it is on those that run; one
// that is down, or paused, gets it as it comes back. At its end it is over as
// soon as it is off those that run, and is taken off the others when they can
// be asked.
func TestOneThatIsAwayGetsItsFaultAsItComesBack(t *testing.T) {
	for _, tt := range []struct {
		name   string
		beside Spec // stands on payment-1, from 500 ms on
		came   time.Duration
	}{
		{"down at the start", Spec{Fault: "stop", Target: "payment-1", Options: Options{"for": "1s"}}, 2500 * time.Millisecond}, // a start takes 1 s
		{"paused at the start", Spec{Fault: "pause", Target: "payment-1", Options: Options{"for": "1400ms"}}, 1910 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPlant("payment-0", "payment-1", "payment-2")
				e := New(p, nil, nil)
				start := time.Now()
				e.Play(t.Context(), start, []Timed{
					{At: 500 * time.Millisecond, Spec: tt.beside},
					{At: time.Second, Spec: slowly("slow", "payment", "5s")},
				})
				time.Sleep(time.Until(start.Add(4 * time.Second)))
				for replica, want := range map[string]time.Duration{"payment-0": time.Second, "payment-1": tt.came, "payment-2": time.Second} {
					// Who comes back is looked for every 250 ms.
					if at, moved := p.movedAt(replica); !moved || at.Sub(start) < want || at.Sub(start) > want+lookEvery {
						t.Errorf("%s is slow: %t, after %s, want %s", replica, moved, at.Sub(start), want)
					}
				}
				e.Wait()
				r := e.Records()[1]
				if got := edges(r, start); got != "slow 1s to 6s, reverted true" || !r.Effective || r.Error != "" || len(r.Replicas) != 3 {
					t.Errorf("%s: %+v", got, r)
				}
			})
		})
	}
	t.Run("paused at the end", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := newPlant("payment-0", "payment-1", "payment-2")
			e := New(p, nil, nil)
			start := time.Now()
			e.Play(t.Context(), start, []Timed{
				{At: time.Second, Spec: slowly("slow", "payment", "1s")},
				{At: 1500 * time.Millisecond, Spec: Spec{Fault: "pause", Target: "payment-1", Options: Options{"for": "4s"}}},
			})
			time.Sleep(time.Until(start.Add(2*time.Second + time.Millisecond)))
			if n := p.slowOnes(); n != 1 {
				t.Errorf("the end waits for the one that is paused: %d are slow", n)
			}
			e.Wait()
			r := e.Records()[0]
			if got := edges(r, start); got != "slow 1s to 2s, reverted true" || r.Error != "" || p.slowOnes() > 0 {
				t.Errorf("%s, %d are slow: %+v", got, p.slowOnes(), r)
			}
			if !strings.Contains(strings.Join(r.Proof, "\n"), "payment-1: it is paused and nothing of it runs") {
				t.Errorf("it does not say so: %q", r.Proof)
			}
		})
	})
}

// A probe through a link of 10 s takes 20 s; the fault is there before, and
// its end does not wait for it.
func TestAFaultDoesNotLastAsLongAsItsProof(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlant()
		p.slow = 20 * time.Second
		e := New(p, nil, nil)
		start := time.Now()
		e.Play(t.Context(), start, []Timed{{At: time.Second, Spec: Spec{Name: "late", Fault: "latency", Target: "gateway->order", Options: Options{"delay": "10s", "for": "2s"}}}})
		e.Wait()
		r := e.Records()[0]
		if got := edges(r, start); got != "late 1s to 3s, reverted true" || !r.Effective || p.rules != 0 {
			t.Errorf("%s, %d rules are left: %+v", got, p.rules, r)
		}
	})
}

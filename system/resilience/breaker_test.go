package resilience

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ordbench/ordbench/system/telemetry"
)

var errIll = errors.New("connection refused")

// step is one thing that happens to a breaker, and its state after it.
type step struct {
	do    string // ok, fail, cancelled, overdue, refused or a duration that passes
	state string
}

func TestBreakerStates(t *testing.T) {
	const three = 3
	for _, row := range []struct {
		name  string
		steps []step
		trips int
	}{
		{"fewer failures than it takes leave it closed",
			[]step{{"fail", "closed"}, {"fail", "closed"}}, 0},
		{"failures in a row open it",
			[]step{{"fail", "closed"}, {"fail", "closed"}, {"fail", "open"}, {"refused", "open"}}, 1},
		{"a success in between starts the row anew",
			[]step{{"fail", "closed"}, {"fail", "closed"}, {"ok", "closed"}, {"fail", "closed"}, {"fail", "closed"}, {"fail", "open"}}, 1},
		{"clients that hang up never open it",
			[]step{{"cancelled", "closed"}, {"cancelled", "closed"}, {"cancelled", "closed"}, {"cancelled", "closed"}}, 0},
		{"a client that hangs up does not break the row",
			[]step{{"fail", "closed"}, {"fail", "closed"}, {"cancelled", "closed"}, {"fail", "open"}}, 1},
		{"deadlines that pass count as failures",
			[]step{{"overdue", "closed"}, {"overdue", "closed"}, {"overdue", "open"}}, 1},
		{"it refuses until its time is over",
			[]step{{"fail", "closed"}, {"fail", "closed"}, {"fail", "open"}, {"9.999s", "open"}, {"refused", "open"}}, 1},
		{"the probe closes it",
			[]step{{"fail", "closed"}, {"fail", "closed"}, {"fail", "open"}, {"10s", "open"}, {"ok", "closed"}, {"fail", "closed"}}, 1},
		{"a failed probe opens it for as long again",
			[]step{{"fail", "closed"}, {"fail", "closed"}, {"fail", "open"}, {"10s", "open"}, {"fail", "open"}, {"9s", "open"}, {"refused", "open"}, {"1s", "open"}, {"ok", "closed"}}, 2},
		{"a probe whose client hung up is judged by its own result",
			[]step{{"fail", "closed"}, {"fail", "closed"}, {"fail", "open"}, {"10s", "open"}, {"cancelled", "open"}, {"10s", "open"}, {"ok", "closed"}}, 2},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := NewBreaker("a->b", BreakerConfig{Enabled: true, Failures: three, OpenFor: 10 * time.Second})
				for i, s := range row.steps {
					play(t, b, s.do)
					if got := b.Snapshot().State; got != s.state {
						t.Fatalf("after step %d, %s: %s, want %s", i, s.do, got, s.state)
					}
				}
				if got := b.Snapshot().Trips; got != row.trips {
					t.Errorf("%d trips, want %d", got, row.trips)
				}
			})
		})
	}
}

func play(t *testing.T, b *Breaker, do string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	called := false
	fn := func(result error) error {
		return b.Do(ctx, func(context.Context) error { called = true; return result })
	}
	switch do {
	case "ok":
		if err := fn(nil); err != nil {
			t.Fatalf("a call that went well: %v", err)
		}
	case "fail":
		if err := fn(errIll); !errors.Is(err, errIll) {
			t.Fatalf("a call that failed: %v, want its own error", err)
		}
	case "cancelled":
		cancel()
		fn(context.Canceled)
	case "overdue":
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, time.Millisecond)
		defer stop()
		<-ctx.Done()
		fn(context.DeadlineExceeded)
	case "refused":
		if err := fn(nil); !errors.Is(err, ErrOpen) || called {
			t.Fatalf("a call while open: %v, made: %v; want ErrOpen and not made", err, called)
		}
	default:
		d, err := time.ParseDuration(do)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(d) // of the bubble's clock
	}
}

func TestTransitionsFormAChainWithTheirTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		b := NewBreaker("gateway->order", BreakerConfig{Enabled: true, Failures: 1, OpenFor: 10 * time.Second})
		var told []Transition
		b.Notify(func(t Transition) { told = append(told, t) })
		for _, do := range []string{"fail", "10s", "fail", "10s", "ok"} {
			play(t, b, do)
		}
		at := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
		want := BreakerState{Name: "gateway->order", State: "closed", Trips: 2, Transitions: []Transition{
			{at(0), "closed", "open"},
			{at(10), "open", "half-open"},
			{at(10), "half-open", "open"},
			{at(20), "open", "half-open"},
			{at(20), "half-open", "closed"},
		}}
		got := b.Snapshot()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("snapshot (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(want.Transitions, told); diff != "" {
			t.Errorf("notified (-want +got):\n%s", diff)
		}
		body, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		var back BreakerState
		if err := json.Unmarshal(body, &back); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(got, back); diff != "" {
			t.Errorf("through JSON (-want +got):\n%s", diff)
		}
	})
}

func TestHalfOpenLetsOneProbeThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBreaker("a->b", BreakerConfig{Enabled: true, Failures: 1, OpenFor: time.Second})
		play(t, b, "fail")
		play(t, b, "1s")
		release := make(chan struct{})
		done := make(chan error, 1)
		go func() {
			done <- b.Do(context.Background(), func(context.Context) error { <-release; return nil })
		}()
		synctest.Wait() // the probe is under way
		for range 5 {
			play(t, b, "refused")
		}
		close(release)
		if err := <-done; err != nil {
			t.Fatalf("probe: %v", err)
		}
		play(t, b, "ok")
	})
}

func TestLateResultsDoNotDecideAboutThePresent(t *testing.T) {
	for _, late := range []error{nil, errIll} {
		t.Run(fmt.Sprint("late result ", late), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := NewBreaker("a->b", BreakerConfig{Enabled: true, Failures: 1, OpenFor: time.Second})
				release := make(chan struct{})
				done := make(chan struct{})
				go func() {
					defer close(done)
					b.Do(context.Background(), func(context.Context) error { <-release; return late })
				}()
				synctest.Wait()
				play(t, b, "fail")
				play(t, b, "1s")
				hold := make(chan struct{})
				probed := make(chan struct{})
				go func() {
					defer close(probed)
					b.Do(context.Background(), func(context.Context) error { <-hold; return nil })
				}()
				synctest.Wait()
				close(release)
				<-done
				if got := b.Snapshot().State; got != "half-open" {
					t.Errorf("after the late result: %s, want half-open until the probe is back", got)
				}
				play(t, b, "refused") // the late result freed no second probe
				close(hold)
				<-probed
				if got := b.Snapshot().State; got != "closed" {
					t.Errorf("after the probe: %s, want closed", got)
				}
			})
		})
	}
}

func TestProbeOutlivesItsClientButNotItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBreaker("a->b", BreakerConfig{Enabled: true, Failures: 1, OpenFor: time.Second})
		play(t, b, "fail")
		play(t, b, "1s")
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		want, _ := ctx.Deadline()
		b.Do(ctx, func(probe context.Context) error {
			cancel()
			if probe.Err() != nil {
				t.Errorf("the probe ended with its client: %v", probe.Err())
			}
			if got, ok := probe.Deadline(); !ok || !got.Equal(want) {
				t.Errorf("deadline of the probe: %v, %v; want %v", got, ok, want)
			}
			return nil
		})
		if got := b.Snapshot().State; got != "closed" {
			t.Errorf("after the probe: %s, want closed", got)
		}
	})
}

func TestPanicCountsAsFailureAndKeepsNoProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBreaker("a->b", BreakerConfig{Enabled: true, Failures: 1, OpenFor: time.Second})
		burst := func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic was swallowed")
				}
			}()
			b.Do(context.Background(), func(context.Context) error { panic("bug") })
		}
		burst()
		play(t, b, "1s")
		burst() // as the probe
		if got := b.Snapshot(); got.State != "open" || got.Trips != 2 {
			t.Errorf("%+v, want open after 2 trips", got)
		}
		play(t, b, "1s")
		play(t, b, "ok")
	})
}

func TestDisabledBreakerNeverRefuses(t *testing.T) {
	b := NewBreaker("a->b", BreakerConfig{Failures: 1})
	for range 10 {
		play(t, b, "fail")
	}
	want := BreakerState{Name: "a->b", State: "disabled", Transitions: []Transition{}}
	if diff := cmp.Diff(want, b.Snapshot()); diff != "" {
		t.Errorf("snapshot (-want +got):\n%s", diff)
	}
}

func TestRetryAfterCountsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBreaker("a->b", BreakerConfig{Enabled: true, Failures: 1, OpenFor: 10 * time.Second})
		if got := b.RetryAfter(); got != 0 {
			t.Errorf("closed: %s, want 0", got)
		}
		play(t, b, "fail")
		play(t, b, "4s")
		if got := b.RetryAfter(); got != 6*time.Second {
			t.Errorf("4 s into 10 s: %s, want 6s", got)
		}
	})
}

func TestHistoryIsBoundedAndTripsCountOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBreaker("a->b", BreakerConfig{Enabled: true, Failures: 1, OpenFor: time.Second})
		const trips = 1000
		for range trips {
			play(t, b, "fail")
			play(t, b, "1s")
		}
		got := b.Snapshot()
		if got.Trips != trips || len(got.Transitions) != transitionsKept {
			t.Errorf("%d trips and %d transitions, want %d and %d", got.Trips, len(got.Transitions), trips, transitionsKept)
		}
		if last := got.Transitions[len(got.Transitions)-1]; last.To != "open" {
			t.Errorf("the newest transition is to %s, want open", last.To)
		}
	})
}

func TestBreakersAreMetrics(t *testing.T) {
	order := NewBreaker("gateway->order", BreakerConfig{Enabled: true, Failures: 1, OpenFor: time.Hour})
	stock := NewBreaker("gateway->inventory", BreakerConfig{})
	play(t, order, "fail")
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(Breakers{order, stock})
	want := `
# HELP ordbench_breaker_state 1 for the state that the breaker is in.
# TYPE ordbench_breaker_state gauge
ordbench_breaker_state{breaker="gateway->inventory",state="closed"} 0
ordbench_breaker_state{breaker="gateway->inventory",state="disabled"} 1
ordbench_breaker_state{breaker="gateway->inventory",state="half-open"} 0
ordbench_breaker_state{breaker="gateway->inventory",state="open"} 0
ordbench_breaker_state{breaker="gateway->order",state="closed"} 0
ordbench_breaker_state{breaker="gateway->order",state="disabled"} 0
ordbench_breaker_state{breaker="gateway->order",state="half-open"} 0
ordbench_breaker_state{breaker="gateway->order",state="open"} 1
# HELP ordbench_breaker_trips_total Times the breaker opened.
# TYPE ordbench_breaker_trips_total counter
ordbench_breaker_trips_total{breaker="gateway->inventory"} 0
ordbench_breaker_trips_total{breaker="gateway->order"} 1
`
	got := httptest.NewRecorder()
	telemetry.Admin{Registry: reg}.Handler().ServeHTTP(got, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if diff := cmp.Diff(strings.TrimPrefix(want, "\n"), got.Body.String()); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
}

func BenchmarkBreakerClosed(b *testing.B) {
	br := NewBreaker("a->b", BreakerConfig{Enabled: true})
	fn := func(context.Context) error { return nil }
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		br.Do(ctx, fn)
	}
}

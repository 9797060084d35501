package wire

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ordbench/ordbench/loadgen"
	"github.com/ordbench/ordbench/loadgen/shop"
	"github.com/ordbench/ordbench/loadgen/static"
)

// desk is a server whose orders end some time after they were placed.
type desk struct {
	takes time.Duration // an order, to its end
	slow  time.Duration // each answer

	mu     sync.Mutex
	placed map[string]time.Time
	polls  int
	wrong  []string
}

func (d *desk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	time.Sleep(d.slow)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.placed == nil {
		d.placed = map[string]time.Time{}
	}
	if r.Method == http.MethodPost {
		id := fmt.Sprintf("o-%d", len(d.placed))
		d.placed[id] = time.Now()
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprintf(w, `{"order_id":%q,"status":"PENDING"}`, id)
		return
	}
	d.polls++
	at, known := d.placed[strings.TrimPrefix(r.URL.Path, "/orders/")]
	if !known || r.Header.Get("Idempotency-Key") != "" || r.Header.Get("Content-Type") != "" || r.Header.Get("X-Forwarded-For") == "" || r.ContentLength > 0 {
		d.wrong = append(d.wrong, r.URL.Path+fmt.Sprint(r.Header))
	}
	status := "PENDING"
	if time.Since(at) >= d.takes {
		status = "CONFIRMED"
	}
	fmt.Fprintf(w, `{"order_id":"x","status":%q}`, status)
}

func followers(t testing.TB) *shop.Shop {
	t.Helper()
	s, err := shop.New(shop.Config{Seed: 1, Mix: map[loadgen.Op]float64{shop.FollowOrder: 1}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// follow plays flows against a desk and gives their report, and the ledger.
func follow(t *testing.T, ctx context.Context, e loadgen.Engine, plan loadgen.Plan, grace time.Duration) (*loadgen.OpReport, string) {
	t.Helper()
	var ledger bytes.Buffer
	l := loadgen.NewLedgerWriter(&ledger)
	report, err := loadgen.New(loadgen.Config{Plan: plan, Workload: followers(t), Engine: e, Ledger: l, Grace: grace}).Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if total := report.Total(); total.Scheduled != total.Settled() {
		t.Errorf("account %+v", total)
	}
	return report.Phases[0].Ops[shop.FollowOrder], ledger.String()
}

func ms(us int64) int64 { return (us + 500) / 1000 }

func TestFlowPlacesAnOrderAndFollowsItToItsEnd(t *testing.T) {
	eachSynthetic(t, func(t *testing.T, open engine) {
		d := &desk{takes: 100 * time.Millisecond, slow: 10 * time.Millisecond}
		net := serve(t, d)
		o, ledger := follow(t, t.Context(), open(Config{Connections: 50, Timeout: time.Minute, Dial: net.dial}), one(loadgen.Constant{PerSecond: 100}, time.Second), 0)
		if o.Counts.OK != 100 || len(d.wrong) > 0 {
			t.Fatalf("%+v %v %v", o.Counts, o.Reasons, d.wrong)
		}
		if n := strings.Count(ledger, "\n") - 1; n != 100 {
			t.Errorf("%d lines in the ledger, want one for each order", n)
		}
		place, poll := o.Steps[shop.Place], o.Steps[shop.Poll]
		if place.Count != 100 || poll.Count != uint64(d.polls) || poll.Count < 200 {
			t.Errorf("%d placed, %d polls, the desk saw %d", place.Count, poll.Count, d.polls)
		}
		if got := ms(place.Response.ValueAtQuantile(50)); got != 10 {
			t.Errorf("place took %d ms, want 10", got)
		}
		if got := ms(poll.Service.ValueAtQuantile(50)); got != 10 {
			t.Errorf("a poll took %d ms, want 10", got)
		}
		// To the end of the order, and to the poll that sees it.
		if got := ms(o.Response.Max()); got < 110 || got > 170 {
			t.Errorf("the flow took %d ms, want 110 to 170", got)
		}
		if o.Slip.Max() > 0 {
			t.Errorf("slip %d us, want none", o.Slip.Max())
		}
	})
}

// A step that is chained to a slow one before it is due late, and says
// nothing of that by its own clock: from the planned start it shows.
func TestLaterStepsCountFromWhenTheFlowWasDue(t *testing.T) {
	eachSynthetic(t, func(t *testing.T, open engine) {
		d := &desk{slow: time.Second}
		net := serve(t, d)
		// One connection: each place waits for those before it.
		o, _ := follow(t, t.Context(), open(Config{Connections: 1, Timeout: time.Minute, Dial: net.dial}), one(loadgen.Constant{PerSecond: 2}, 3*time.Second), 0)
		poll := o.Steps[shop.Poll]
		if o.Counts.OK != 6 || ms(poll.Service.Max()) != 1000 {
			t.Fatalf("%+v, a poll took %d ms by its own clock; want 6 ok, 1 s", o.Counts, ms(poll.Service.Max()))
		}
		// Twelve requests of a second each; the last flow was due at 2.5 s.
		if got := ms(poll.Response.Max()) / 100; got < 90 {
			t.Errorf("the last poll ended %d00 ms after its flow was due, want 9 s and more", got)
		}
		if o.Response.Max() != poll.Response.Max() {
			t.Errorf("flow %d us, its last step %d us", o.Response.Max(), poll.Response.Max())
		}
	})
}

func TestFlowThatWaitsHoldsNoConnection(t *testing.T) {
	eachSynthetic(t, func(t *testing.T, open engine) {
		net := serve(t, &desk{takes: 150 * time.Millisecond})
		o, _ := follow(t, t.Context(), open(Config{Connections: 2, Timeout: time.Minute, Dial: net.dial}), one(loadgen.Constant{PerSecond: 200}, time.Second), 0)
		if o.Counts.OK != 200 {
			t.Errorf("%+v %v, want 200 ok over 2 connections", o.Counts, o.Reasons)
		}
		// Held, two connections take 17 s for 200 orders of 150 ms and more.
		if most := ms(o.Response.Max()); most > 200 {
			t.Errorf("a flow took %d ms", most)
		}
	})
}

func TestStepIsNotHeldUpByACallThatIsDueLater(t *testing.T) {
	eachSynthetic(t, func(t *testing.T, open engine) {
		net := serve(t, &desk{takes: 100 * time.Millisecond})
		o, _ := follow(t, t.Context(), open(Config{Connections: 3, Timeout: time.Minute, Dial: net.dial}), one(loadgen.Constant{PerSecond: 0.1}, 30*time.Second), 0)
		if most := ms(o.Response.Max()); o.Counts.OK != 3 || most > 150 {
			t.Errorf("%+v, a flow took %d ms, want 100 to 150", o.Counts, most)
		}
	})
}

// While all users wait for their next steps nobody has another call, which is
// not the end of the load.
func TestClosedLoopOfFlowsGoesOn(t *testing.T) {
	eachSynthetic(t, func(t *testing.T, open engine) {
		net := serve(t, &desk{takes: 90 * time.Millisecond, slow: 5 * time.Millisecond})
		o, _ := follow(t, t.Context(), open(Config{Connections: 2, Timeout: time.Minute, Dial: net.dial}), one(loadgen.Closed{Users: 2}, 10*time.Second), 0)
		if o.Counts.OK < 2*10*1000/200 {
			t.Errorf("%+v, want two users with a flow each 200 ms and more often", o.Counts)
		}
	})
}

func TestStopLeavesFlowsUnfinished(t *testing.T) {
	eachSynthetic(t, func(t *testing.T, open engine) {
		d := &desk{takes: time.Hour, slow: time.Millisecond}
		net := serve(t, d)
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		o, ledger := follow(t, ctx, open(Config{Connections: 100, Timeout: time.Minute, Dial: net.dial}), one(loadgen.Constant{PerSecond: 100}, time.Minute), time.Second)
		if o.Counts.OK > 0 || o.Counts.Unfinished < 48 || o.Counts.Unfinished+o.Counts.Dropped != o.Counts.Scheduled {
			t.Errorf("%+v, want all unfinished", o.Counts)
		}
		if n := strings.Count(ledger, "\n") - 1; uint64(n) != o.Counts.Scheduled {
			t.Errorf("%d lines in the ledger of %d orders", n, o.Counts.Scheduled)
		}
		if o.LowerBounds != o.Counts.Unfinished+o.Counts.Dropped {
			t.Errorf("%d lower bounds", o.LowerBounds)
		}
	})
}

func TestFlowOfARefusedOrderEndsThere(t *testing.T) {
	eachSynthetic(t, func(t *testing.T, open engine) {
		net := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodPost {
				t.Error("a poll of an order that nobody took")
			}
			w.WriteHeader(http.StatusTooManyRequests)
		}))
		o, _ := follow(t, t.Context(), open(Config{Connections: 5, Timeout: time.Minute, Dial: net.dial}), one(loadgen.Constant{PerSecond: 20}, time.Second), 0)
		if o.Counts.Rejected != 20 {
			t.Errorf("%+v", o.Counts)
		}
	})
}

func TestFlowGivesUpOnAnOrderThatDoesNotEnd(t *testing.T) {
	eachSynthetic(t, func(t *testing.T, open engine) {
		net := serve(t, &desk{takes: time.Hour})
		o, _ := follow(t, t.Context(), open(Config{Connections: 5, Timeout: time.Minute, Dial: net.dial}), one(loadgen.Constant{PerSecond: 4}, time.Second), 0)
		if o.Counts.Timeout != 4 || o.Reasons["not-ended"] != 4 || o.LowerBounds != 4 || ms(o.Response.Min()) < 29_000 {
			t.Errorf("%+v %v, after %d us", o.Counts, o.Reasons, o.Response.Min())
		}
	})
}

// BenchmarkFlow is what a request costs as a step of a flow, beside the same
// order as a static request: unpaced, in turn, the median of five rounds.
func BenchmarkFlow(b *testing.B) {
	eachEngineOf(b, func(b *testing.B, open engine) {
		url := otherProcess(b)
		cost := func(w loadgen.Workload, n int) float64 {
			before := cpuSeconds(b)
			report, err := loadgen.New(loadgen.Config{
				Plan: one(loadgen.Constant{PerSecond: 1e9}, time.Duration(n)), Workload: w,
				Engine: open(Config{BaseURL: url, Connections: 50, Timeout: time.Hour}),
			}).Run(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			total := report.Total()
			if total.OK != total.Scheduled {
				b.Fatalf("%+v", total)
			}
			requests := total.OK
			if o := report.Phases[0].Ops[shop.FollowOrder]; o != nil {
				requests = o.Steps[shop.Place].Count + o.Steps[shop.Poll].Count
			}
			return float64(requests) / (cpuSeconds(b) - before)
		}
		var flows, plain, ratios []float64
		for b.Loop() {
			for range 5 {
				p := cost(&static.Request{
					Method: "POST", Path: "/orders", Header: []static.Field{{Name: "Content-Type", Value: "application/json"}},
					Body: []byte(`{"user_id":"user-000001","total":12.34,"items":[{"sku":"sku-0001","quantity":1}]}`),
				}, 40_000)
				f := cost(followers(b), 20_000)
				plain, flows, ratios = append(plain, p), append(flows, f), append(ratios, f/p)
			}
		}
		median := func(v []float64) float64 { slices.Sort(v); return v[len(v)/2] }
		b.ReportMetric(median(plain), "static-req/cpu-s")
		b.ReportMetric(median(flows), "flow-req/cpu-s")
		b.ReportMetric(median(ratios), "flow/static")
	})
}

package wire

import (
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/ordbench/ordbench/loadgen"
)

// stall is what a server that stands still owes to every attempt, whenever a
// generator gets round to sending it.
type stall struct {
	from, to time.Duration
	service  time.Duration
	conns    int
}

// responses is the open-loop answer for calls due at due, first come first
// served on the connections: the oracle.
func (s stall) responses(due []time.Duration) (all []time.Duration) {
	free := make([]time.Duration, s.conns)
	for _, at := range due {
		slices.Sort(free) // the connection that comes free first
		start := max(at, free[0])
		if start >= s.from && start < s.to {
			start = s.to
		}
		free[0] = start + s.service
		all = append(all, free[0]-at)
	}
	slices.Sort(all)
	return all
}

// arrivals are the due times of p.
func arrivals(p loadgen.Plan) (due []time.Duration) {
	for _, at := range p.Arrivals() {
		due = append(due, at)
	}
	return due
}

var quantiles = []float64{50, 90, 99, 99.9}

// at is the q-th percentile of sorted times, in microseconds.
func at(sorted []time.Duration, q float64) int64 {
	i := int(math.Ceil(q/100*float64(len(sorted)))) - 1
	return sorted[max(i, 0)].Microseconds()
}

// Under synthetic time nothing is noisy, so the answer has to be right: to 2%,
// for each law, with connections to spare and at the cap, and once over each
// protocol.
func TestStalledServerIsSeenAsTheOpenLoopSeesIt(t *testing.T) {
	const length = 30 * time.Second
	laws := map[string]loadgen.Law{
		"constant": loadgen.Constant{PerSecond: 200},
		"ramp":     loadgen.Ramp{From: 50, To: 400, Over: length},
		"poisson":  loadgen.Poisson{Mean: loadgen.Constant{PerSecond: 200}},
		"spike":    loadgen.Steps{{PerSecond: 100, For: 10 * time.Second}, {PerSecond: 1000, For: 3 * time.Second}, {PerSecond: 100, For: length}},
	}
	for name, law := range laws {
		spare := 600
		if name == "spike" {
			spare = 2200
		}
		for _, conns := range []int{spare, 16} {
			t.Run(fmt.Sprint(name, " over ", conns, " connections"), func(t *testing.T) {
				t.Parallel()
				over := eachCleartext
				if name == "poisson" && conns == 16 {
					over = eachSynthetic
				}
				over(t, func(t *testing.T, open engine) {
					s := stall{from: 11 * time.Second, to: 13 * time.Second, service: time.Millisecond, conns: conns}
					plan := one(law, length)
					start := time.Now()
					net := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
						if now := time.Since(start); now >= s.from && now < s.to {
							time.Sleep(s.to - now)
						}
						time.Sleep(s.service)
						accept(w)
					}))
					report, err := loadgen.New(loadgen.Config{
						Plan: plan, Workload: orders(t), Start: start,
						Engine: open(Config{Connections: conns, Timeout: time.Minute, Dial: net.dial}),
					}).Run(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					o := report.Phases[0].Ops["place_order"]
					due := arrivals(plan)
					if o.Counts.OK != uint64(len(due)) {
						t.Fatalf("account %+v, want %d ok", o.Counts, len(due))
					}
					want := s.responses(due)
					for _, q := range quantiles {
						got, want := o.Response.ValueAtQuantile(q), at(want, q)
						if math.Abs(float64(got-want)) > 0.02*float64(want) {
							t.Errorf("response p%g %d us, the open loop says %d", q, got, want)
						}
					}
					// A client that counts from the send is blind at the cap:
					// only one call per connection has seen the stall.
					if service := o.Service.ValueAtQuantile(99); conns == 16 && service > 10_000 {
						t.Errorf("service p99 %d us, want it blind to the stall", service)
					}
					if slip := o.Slip.Max(); slip > 1 {
						t.Errorf("slip %d us, want none: the server was late, not the generator", slip)
					}
				})
			})
		}
	}
}

// The same on a real network and clock. The machine may be noisy, so the
// bounds are wide: what a generator that waits for answers would report lies
// far outside of them.
func TestStalledServerOnARealNetwork(t *testing.T) {
	eachEngine(t, func(t *testing.T, open engine) {
		const length, rate, conns = 2500 * time.Millisecond, 400, 8
		var (
			mu       sync.Mutex
			from, to time.Time
			start    = time.Now()
		)
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if now := time.Since(start); now > 500*time.Millisecond && now < 1300*time.Millisecond {
				<-time.After(1300*time.Millisecond - now)
				mu.Lock()
				if from.IsZero() {
					from, to = start.Add(now), time.Now()
				}
				mu.Unlock()
			}
			accept(w)
		}))
		defer srv.Close()
		plan := one(loadgen.Constant{PerSecond: rate}, length)
		report, err := loadgen.New(loadgen.Config{
			Plan: plan, Workload: orders(t), Start: start,
			Engine: open(Config{BaseURL: srv.URL, Connections: conns, Timeout: time.Minute}),
		}).Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		o := report.Phases[0].Ops["place_order"]
		want := stall{from: from.Sub(start), to: to.Sub(start), conns: conns}.responses(arrivals(plan))
		compare := func(h *hdrhistogram.Histogram, q float64) (got, open int64) {
			return h.ValueAtQuantile(q), at(want, q)
		}
		for _, q := range []float64{80, 90, 95, 99} {
			got, open := compare(o.Response, q)
			if got < open*8/10 {
				t.Errorf("response p%g %d us, the open loop says at least %d: omitted", q, got, open)
			}
			if got > open*15/10+500_000 {
				t.Errorf("response p%g %d us, the open loop says %d", q, got, open)
			}
		}
		if service, open := compare(o.Service, 90); service > open/4 {
			t.Errorf("service p90 %d us, want it far below the %d us of the open loop", service, open)
		}
	})
}

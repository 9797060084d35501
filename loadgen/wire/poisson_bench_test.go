package wire

import (
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ordbench/ordbench/loadgen"
)

// BenchmarkPoissonAtTheServer stamps Poisson arrivals where they arrive and
// holds their gaps against the exponential law: A², after Anderson and
// Darling, of which one such process in a hundred exceeds 3.857. The seed is
// fixed, so what varies is what engine, network and machine do to the law.
func BenchmarkPoissonAtTheServer(b *testing.B) {
	const limit = 3.857
	eachEngineOf(b, func(b *testing.B, open engine) {
		// What is late by a tenth of a millisecond bends gaps of 5 ms, and not
		// those of 20 ms: net/http passes its calls from one goroutine to
		// another, and is honest at rates at which that is nothing.
		rate := 50.0
		if _, ours := open(Config{}).(*eventLoop); ours {
			rate = 200
		}
		for b.Loop() {
			var (
				mu     sync.Mutex
				stamps []time.Time
			)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				at := time.Now()
				mu.Lock()
				stamps = append(stamps, at)
				mu.Unlock()
				accept(w)
			}))
			plan := one(loadgen.Poisson{Mean: loadgen.Constant{PerSecond: rate}}, time.Duration(2000/rate)*time.Second)
			_, err := loadgen.New(loadgen.Config{
				Plan: plan, Workload: orders(b), Engine: open(Config{BaseURL: server.URL, Connections: 64}),
			}).Run(b.Context())
			server.Close()
			if err != nil {
				b.Fatal(err)
			}
			slices.SortFunc(stamps, time.Time.Compare)
			var gaps, drawn []time.Duration
			for i := range stamps[1:] {
				gaps = append(gaps, stamps[i+1].Sub(stamps[i]))
			}
			last := time.Duration(0)
			for _, due := range plan.Arrivals() {
				drawn, last = append(drawn, due-last), due
			}
			a, n := andersonDarling(gaps, rate), len(gaps)
			b.ReportMetric(a, "A²")
			b.ReportMetric(andersonDarling(drawn, rate), "A²-as-drawn")
			b.ReportMetric(float64(n), "gaps")
			if a > limit {
				b.Errorf("A² %.3f over %d gaps, want at most %.3f", a, n, limit)
			}
		}
	})
}

// andersonDarling is A² of gaps that should be exponential.
func andersonDarling(gaps []time.Duration, rate float64) float64 {
	u := make([]float64, len(gaps))
	for i, gap := range gaps {
		u[i] = 1 - math.Exp(-max(gap.Seconds(), 1e-9)*rate)
	}
	slices.Sort(u)
	sum, n := 0.0, len(u)
	for i := range u {
		sum += float64(2*i+1) * (math.Log(u[i]) + math.Log1p(-u[n-1-i]))
	}
	return -float64(n) - sum/float64(n)
}

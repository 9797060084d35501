package loadgen

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"
)

// collect is all arrivals of law in [0, length).
func collect(t testing.TB, law Law, seed uint64, length time.Duration) []time.Duration {
	t.Helper()
	var all []time.Duration
	next := law.Arrivals(seed, length)
	for {
		due, ok := next()
		if !ok {
			break
		}
		if due < 0 || due >= length {
			t.Fatalf("arrival %d at %v is outside [0, %v)", len(all), due, length)
		}
		if n := len(all); n > 0 && due < all[n-1] {
			t.Fatalf("arrival %d at %v is before the one at %v", n, due, all[n-1])
		}
		all = append(all, due)
	}
	if _, again := next(); again {
		t.Fatal("an arrival after the last")
	}
	return all
}

var curves = []struct {
	name   string
	curve  Curve
	length time.Duration
	count  int
}{
	{"a constant rate", Constant{100}, 10 * time.Second, 1000},
	{"a rate that no binary fraction holds", Constant{0.1}, 10 * time.Second, 1},
	{"a third of a second apart", Constant{3}, time.Second, 3},
	{"less than one arrival is still one, at the start", Constant{0.5}, time.Second, 1},
	{"nothing at rate 0", Constant{0}, time.Hour, 0},
	{"a high rate", Constant{33333}, 3 * time.Second, 99999},
	{"a ramp up from 0", Ramp{0, 100, 10 * time.Second}, 10 * time.Second, 500},
	{"a ramp up", Ramp{100, 1000, 10 * time.Second}, 10 * time.Second, 5500},
	{"a ramp down to 0", Ramp{100, 0, 10 * time.Second}, 10 * time.Second, 500},
	{"a ramp that is no ramp", Ramp{70, 70, 10 * time.Second}, 10 * time.Second, 700},
	{"a ramp of no length", Ramp{10, 70, 0}, 10 * time.Second, 700},
	{"the end of a ramp holds on", Ramp{0, 100, 10 * time.Second}, 20 * time.Second, 1500},
	{"a part of a ramp", Ramp{0, 100, 10 * time.Second}, 5 * time.Second, 125},
	{"after a ramp down to 0 there is nothing", Ramp{100, 0, 10 * time.Second}, time.Hour, 500},
	{"steps", Steps{{10, time.Second}, {100, 2 * time.Second}, {1, time.Second}}, 4 * time.Second, 211},
	{"the last step holds on", Steps{{10, time.Second}, {100, time.Second}}, 11 * time.Second, 1010},
	{"a pause between steps", Steps{{10, time.Second}, {0, time.Second}, {10, time.Second}}, 3 * time.Second, 20},
	{"a pause at the end", Steps{{10, time.Second}, {0, time.Second}}, time.Hour, 10},
	{"no steps at all", Steps{}, time.Hour, 0},
	{"a spike", Spike{Base: 10, Peak: 100, At: 2 * time.Second, Hold: time.Second}, 10 * time.Second, 190},
	{"a spike that rises and falls", Spike{10, 110, 2 * time.Second, time.Second, 2 * time.Second, time.Second}, 10 * time.Second, 400},
	{"a spike from the start", Spike{Base: 1, Peak: 100, Hold: 2 * time.Second}, 4 * time.Second, 202},
	{"a spike out of nothing", Spike{Peak: 100, At: time.Second, Rise: time.Second, Hold: time.Second, Fall: time.Second}, 10 * time.Second, 200},
	{"a spike that is a dip", Spike{Base: 100, At: time.Second, Hold: time.Second}, 3 * time.Second, 200},
	{"a spike after the end", Spike{Base: 10, Peak: 100, At: time.Hour, Hold: time.Second}, 10 * time.Second, 100},
	{"a spike cut off by the end", Spike{Base: 10, Peak: 100, At: 9 * time.Second, Hold: time.Hour}, 10 * time.Second, 190},
	{"a sine of whole periods", Sine{10, 90, 5 * time.Second}, 20 * time.Second, 1000},
	{"a sine of half a period", Sine{0, 100, 10 * time.Second}, 5 * time.Second, 250},
	{"a part of a sine", Sine{100, 700, 7 * time.Second}, 10 * time.Second, 3855},
	{"a sine that is none", Sine{50, 50, time.Second}, 10 * time.Second, 500},
	{"a fast sine", Sine{0, 10000, 10 * time.Millisecond}, 3 * time.Second, 15000},
	{"a slow sine", Sine{0, 1, 24 * time.Hour}, 24 * time.Hour, 43200},
	{"a sine at rate 0", Sine{0, 0, time.Second}, time.Hour, 0},
}

func TestRegularArrivalsFollowTheIntegral(t *testing.T) {
	for _, c := range curves {
		t.Run(c.name, func(t *testing.T) {
			due := collect(t, c.curve, 1, c.length)
			if len(due) != c.count {
				t.Errorf("%d arrivals, want %d", len(due), c.count)
			}
			if want := c.curve.Expected(c.length); math.Abs(float64(len(due))-want) >= 1 {
				t.Errorf("%d arrivals, the integral is %g", len(due), want)
			}
			for n, at := range due {
				if got := c.curve.Expected(at); math.Abs(got-float64(n)) > 1e-3 {
					t.Fatalf("arrival %d at %v, where %g are expected", n, at, got)
				}
			}
		})
	}
}

func TestArrivalNIsDueAtNPeriods(t *testing.T) {
	for n, at := range collect(t, Constant{200}, 1, time.Minute) {
		if want := time.Duration(n) * 5 * time.Millisecond; at != want {
			t.Fatalf("arrival %d at %v, want %v", n, at, want)
		}
	}
}

func TestArrivalsAfterAPauseStartWithTheNextStep(t *testing.T) {
	due := collect(t, Steps{{10, time.Second}, {0, time.Second}, {10, time.Second}}, 1, 3*time.Second)
	if due[10] != 2*time.Second {
		t.Errorf("arrival 10 at %v, want 2s", due[10])
	}
}

func TestPoissonIsRepeatedByItsSeed(t *testing.T) {
	law := Poisson{Constant{1000}}
	a, b := collect(t, law, 7, 10*time.Second), collect(t, law, 7, 10*time.Second)
	if !slices.Equal(a, b) {
		t.Error("the same seed gave other arrivals")
	}
	if slices.Equal(a, collect(t, law, 8, 10*time.Second)) {
		t.Error("another seed gave the same arrivals")
	}
}

// Seen along its curve, a Poisson process of any rate has exponential gaps of
// mean 1: the Kolmogorov-Smirnov distance to that law, at 1 in 1000. Seeds are
// fixed, so the test gives the same answer for ever.
func TestPoissonGapsAreExponential(t *testing.T) {
	for _, c := range curves {
		for seed := range uint64(5) {
			due := collect(t, Poisson{c.curve}, seed, c.length)
			if len(due) < 400 {
				continue
			}
			t.Run(fmt.Sprint(c.name, " ", seed), func(t *testing.T) {
				gaps := make([]float64, len(due))
				last := 0.0
				for i, at := range due {
					here := c.curve.Expected(at)
					gaps[i], last = here-last, here
				}
				slices.Sort(gaps)
				distance, n := 0.0, float64(len(gaps))
				for i, gap := range gaps {
					law := 1 - math.Exp(-gap)
					distance = max(distance, law-float64(i)/n, float64(i+1)/n-law)
				}
				if limit := 1.95 / math.Sqrt(n); distance > limit {
					t.Errorf("distance %.4f over %d gaps, want at most %.4f", distance, len(gaps), limit)
				}
			})
		}
	}
}

// Gaps of the right shape may still depend on each other: counts in windows
// must vary as much as they are large.
func TestPoissonCountsAreAsVariableAsLarge(t *testing.T) {
	const windows = 5000
	for seed := range uint64(5) {
		counts := make([]float64, windows)
		for _, at := range collect(t, Poisson{Constant{500}}, seed, windows*100*time.Millisecond) {
			counts[at/(100*time.Millisecond)]++
		}
		mean, variance := 0.0, 0.0
		for _, n := range counts {
			mean += n / windows
		}
		for _, n := range counts {
			variance += (n - mean) * (n - mean) / (windows - 1)
		}
		if math.Abs(mean-50) > 0.4 { // 4 standard errors
			t.Errorf("seed %d: %g arrivals per window, want 50", seed, mean)
		}
		if ratio := variance / mean; math.Abs(ratio-1) > 0.08 {
			t.Errorf("seed %d: dispersion %.3f, want 1", seed, ratio)
		}
	}
}

// The n-th arrival costs the same wherever it is: no law counts its way there.
func TestNthArrivalDoesNotDependOnThoseBefore(t *testing.T) {
	for _, c := range curves {
		t.Run(c.name, func(t *testing.T) {
			all := collect(t, c.curve, 1, c.length)
			for n := len(all) - 1; n >= 0; n -= 1 + n/7 {
				if at := min(c.curve.Due(float64(n)), c.length-1); at != all[n] {
					t.Fatalf("arrival %d alone at %v, in turn at %v", n, at, all[n])
				}
			}
		})
	}
}

// The Anderson-Darling distance of the gaps to their law, all of whose
// parameters are known, stays below the value that one process in a hundred
// exceeds. It looks at the tails, which Kolmogorov-Smirnov does not. Seeds
// are fixed.
func TestPoissonGapsPassAndersonDarling(t *testing.T) {
	for _, c := range curves {
		due := collect(t, Poisson{c.curve}, 7, c.length)
		if len(due) < 400 {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			uniform := make([]float64, len(due))
			last := 0.0
			for i, at := range due {
				here := c.curve.Expected(at)
				// Nanoseconds are coarse where 10,000 arrive in 10 ms.
				uniform[i], last = 1-math.Exp(-max(here-last, 1e-9)), here
			}
			if a := andersonDarling(uniform); a > andersonDarling1Percent {
				t.Errorf("A² %.3f over %d gaps, want at most %.3f", a, len(due), andersonDarling1Percent)
			}
		})
	}
}

// An even law is no Poisson process, nor is one with every tenth gap halved:
// the test sees both.
func TestAndersonDarlingSeesWhatIsNotExponential(t *testing.T) {
	rng := newRand(1)
	even, bent := make([]float64, 2000), make([]float64, 2000)
	for i := range even {
		even[i] = 1 - math.Exp(-1)
		gap := -math.Log1p(-rng.Float64())
		if i%10 == 0 {
			gap /= 4
		}
		bent[i] = 1 - math.Exp(-gap)
	}
	for name, sample := range map[string][]float64{"even": even, "bent": bent} {
		if a := andersonDarling(sample); a < andersonDarling1Percent {
			t.Errorf("%s: A² %.3f passes", name, a)
		}
	}
}

// andersonDarling1Percent is the value that A² exceeds in one of a hundred
// samples of the law itself, where no parameter was fitted.
const andersonDarling1Percent = 3.857

// andersonDarling is A² of a sample that should be uniform on (0, 1).
func andersonDarling(u []float64) float64 {
	slices.Sort(u)
	n, sum := len(u), 0.0
	for i := range u {
		sum += float64(2*i+1) * (math.Log(u[i]) + math.Log1p(-u[n-1-i]))
	}
	return -float64(n) - sum/float64(n)
}

func BenchmarkArrivals(b *testing.B) {
	laws := map[string]Law{
		"sine": Sine{0, 1e6, time.Hour}, "spike": Spike{Base: 1e6, Peak: 2e6, At: time.Second, Hold: time.Hour},
		"constant": Constant{1e6}, "ramp": Ramp{0, 1e6, time.Hour}, "poisson": Poisson{Constant{1e6}},
	}
	for name, law := range laws {
		b.Run(name, func(b *testing.B) {
			next := law.Arrivals(1, Never)
			for b.Loop() {
				next()
			}
		})
	}
}

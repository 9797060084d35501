package resilience

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// patient outlasts any pause of a busy machine.
const patient = 20 * time.Second

// counter decides as of a clock that the test sets.
type counter struct {
	name  string
	allow func(client string, now time.Time) Decision
}

// counters are the shared and the local way to count: one law for both.
func counters(t *testing.T, limit Limit) []counter {
	t.Helper()
	cache := miniredis.RunT(t)
	cache.ClockTTL(true)
	client := NewCacheClient(cache.Addr(), patient)
	t.Cleanup(func() { client.Close() })
	shared := NewLimiter(limit, client, NewBreaker("a->cache", BreakerConfig{Enabled: true, OpenFor: time.Hour}))
	local := NewLimiter(limit, nil, nil)
	return []counter{
		{"shared", func(name string, now time.Time) Decision {
			cache.SetTime(now)
			return shared.Allow(context.Background(), name)
		}},
		{"local", func(name string, now time.Time) Decision { return local.alone(name, now.UnixMicro()) }},
	}
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestLimiterLaw(t *testing.T) {
	type request struct {
		at        time.Duration
		allowed   bool
		remaining int
		reset     time.Duration
		retry     time.Duration
	}
	ms := time.Millisecond
	for _, row := range []struct {
		name  string
		limit Limit
		asked []request
	}{
		{"a burst takes the whole share and no more", Limit{3, 3 * time.Second}, []request{
			{0, true, 2, 1 * time.Second, 0},
			{0, true, 1, 2 * time.Second, 0},
			{0, true, 0, 3 * time.Second, 0},
			{0, false, 0, 3 * time.Second, 1 * time.Second},
		}},
		{"a refusal costs nothing", Limit{1, time.Second}, []request{
			{0, true, 0, 1000 * ms, 0},
			{300 * ms, false, 0, 700 * ms, 700 * ms},
			{999 * ms, false, 0, 1 * ms, 1 * ms},
			{1000 * ms, true, 0, 1000 * ms, 0},
		}},
		{"a steady rate at the limit is never refused", Limit{10, time.Second}, []request{
			{0, true, 9, 100 * ms, 0},
			{100 * ms, true, 9, 100 * ms, 0},
			{200 * ms, true, 9, 100 * ms, 0},
			{300 * ms, true, 9, 100 * ms, 0},
		}},
		{"the share comes back one by one", Limit{2, 2 * time.Second}, []request{
			{0, true, 1, 1 * time.Second, 0},
			{0, true, 0, 2 * time.Second, 0},
			{1 * time.Second, true, 0, 2 * time.Second, 0},
			{1 * time.Second, false, 0, 2 * time.Second, 1 * time.Second},
		}},
		{"after the reset the share is whole", Limit{2, 2 * time.Second}, []request{
			{0, true, 1, 1 * time.Second, 0},
			{0, true, 0, 2 * time.Second, 0},
			{2 * time.Second, true, 1, 1 * time.Second, 0},
			{2 * time.Second, true, 0, 2 * time.Second, 0},
		}},
		{"a period that does not divide still fits the burst exactly", Limit{3, time.Second}, []request{
			{0, true, 2, 333334 * time.Microsecond, 0},
			{0, true, 1, 666668 * time.Microsecond, 0},
			{0, true, 0, 1000002 * time.Microsecond, 0},
			{0, false, 0, 1000002 * time.Microsecond, 333334 * time.Microsecond},
		}},
		{"a clock that is set back locks nobody out", Limit{2, 2 * time.Second}, []request{
			{time.Hour, true, 1, 1 * time.Second, 0},
			{0, true, 1, 1 * time.Second, 0},
			{1 * time.Second, true, 1, 1 * time.Second, 0},
			{time.Hour + time.Second, true, 1, 1 * time.Second, 0},
		}},
		{"the article's hundred a minute", Limit{100, time.Minute}, []request{
			{0, true, 99, 600 * ms, 0},
			{0, true, 98, 1200 * ms, 0},
			{600 * ms, true, 98, 1200 * ms, 0},
		}},
	} {
		for _, c := range counters(t, row.limit) {
			t.Run(row.name+", "+c.name, func(t *testing.T) {
				for i, r := range row.asked {
					got := c.allow("customer", noon.Add(r.at))
					want := Decision{Allowed: r.allowed, Remaining: r.remaining, ResetAfter: r.reset, RetryAfter: r.retry, Local: c.name == "local"}
					if got != want {
						t.Fatalf("request %d at %s:\n got %+v\nwant %+v", i, r.at, got, want)
					}
				}
			})
		}
	}
}

// No window of length Per may see more than twice the limit (what was saved
// up, and what came back meanwhile), nor the whole history more than the
// rate plus one burst.
func TestNoPatternOfRequestsBeatsTheLimit(t *testing.T) {
	limit := Limit{7, time.Second}
	for _, c := range counters(t, limit) {
		t.Run(c.name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, 2))
			var now time.Duration
			var admitted []time.Duration
			for range 3000 {
				now += time.Duration(random.ExpFloat64() * float64(40*time.Millisecond))
				d := c.allow("customer", noon.Add(now))
				if d.Allowed {
					admitted = append(admitted, now)
				} else if d.RetryAfter <= 0 || d.RetryAfter > limit.Per {
					t.Fatalf("refused with retry after %s", d.RetryAfter)
				}
			}
			first := 0
			for last := range admitted {
				for admitted[last]-admitted[first] >= limit.Per {
					first++
				}
				if n := last - first + 1; n > 2*limit.Requests {
					t.Fatalf("%d requests within %s", n, limit.Per)
				}
			}
			bound := int(now/limit.Per)*limit.Requests + 2*limit.Requests
			if len(admitted) > bound {
				t.Errorf("%d admitted in %s, want at most %d", len(admitted), now, bound)
			}
			if len(admitted) < bound*9/10 {
				t.Errorf("only %d admitted in %s of %d: the limit is not used", len(admitted), now, bound)
			}
		})
	}
}

func TestClientsDoNotShareALimit(t *testing.T) {
	for _, c := range counters(t, Limit{1, time.Hour}) {
		if !c.allow("one", noon).Allowed || !c.allow("two", noon).Allowed {
			t.Errorf("%s: one client used up the share of another", c.name)
		}
	}
}

func TestEveryKeyExpiresWithItsDebt(t *testing.T) {
	cache := miniredis.RunT(t)
	cache.SetTime(noon)
	client := NewCacheClient(cache.Addr(), patient)
	defer client.Close()
	l := NewLimiter(Limit{10, 10 * time.Second}, client, NewBreaker("a->cache", BreakerConfig{Enabled: true}))
	for n := 1; n <= 12; n++ {
		l.Allow(context.Background(), "c")
		want := time.Duration(min(n, 10)) * time.Second
		if got := cache.TTL(keyPrefix + "c"); got != want {
			t.Errorf("after %d requests the key lives %s, want %s", n, got, want)
		}
	}
}

func TestGatewaysShareTheLimit(t *testing.T) {
	cache := miniredis.RunT(t)
	cache.SetTime(noon)
	allowed := 0
	for range 3 {
		client := NewCacheClient(cache.Addr(), patient)
		defer client.Close()
		l := NewLimiter(Limit{4, time.Minute}, client, NewBreaker("a->cache", BreakerConfig{Enabled: true}))
		for range 4 {
			if l.Allow(context.Background(), "c").Allowed {
				allowed++
			}
		}
	}
	if allowed != 4 {
		t.Errorf("three gateways let %d through, want 4", allowed)
	}
}

func TestRequestsAtTheSameTimeAreCountedEach(t *testing.T) {
	cache := miniredis.RunT(t)
	cache.SetTime(noon)
	const limit = 100
	var allowed, local atomic.Int32
	var all sync.WaitGroup
	for range 2 { // gateways
		client := NewCacheClient(cache.Addr(), patient)
		defer client.Close()
		l := NewLimiter(Limit{limit, time.Hour}, client, NewBreaker("a->cache", BreakerConfig{Enabled: true}))
		for range 2 * batchSize {
			all.Go(func() {
				d := l.Allow(context.Background(), "c")
				if d.Allowed {
					allowed.Add(1)
				}
				if d.Local {
					local.Add(1)
				}
			})
		}
	}
	all.Wait()
	if allowed.Load() != limit || local.Load() != 0 {
		t.Errorf("%d allowed, %d of all decided locally; want %d and 0", allowed.Load(), local.Load(), limit)
	}
}

func TestClientThatHangsUpDoesNotSpoilItsBatch(t *testing.T) {
	cache := miniredis.RunT(t)
	cache.SetTime(noon)
	client := NewCacheClient(cache.Addr(), patient)
	defer client.Close()
	l := NewLimiter(Limit{10, time.Hour}, client, NewBreaker("a->cache", BreakerConfig{Enabled: true}))
	gone, hangUp := context.WithCancel(context.Background())
	hangUp()
	l.turn <- struct{}{} // another batch is at the cache
	var all sync.WaitGroup
	opener, _ := l.join("opener")
	all.Go(func() {
		if d := l.Allow(context.Background(), "c"); d.Local || d.Remaining != 9 {
			t.Errorf("%+v, want counted by the cache", d)
		}
	})
	for gathered := 1; gathered < 2; {
		l.gathering.Lock()
		gathered = len(opener.keys)
		l.gathering.Unlock()
	}
	<-l.turn
	l.ask(gone, opener)
	all.Wait()
}

func TestCacheAwayFallsBackToTheLocalCount(t *testing.T) {
	cache := miniredis.RunT(t)
	client := NewCacheClient(cache.Addr(), patient)
	defer client.Close()
	guard := NewBreaker("a->cache", BreakerConfig{Enabled: true, Failures: 2, OpenFor: time.Hour})
	l := NewLimiter(Limit{5, time.Hour}, client, guard)
	if d := l.Allow(context.Background(), "c"); !d.Allowed || d.Local {
		t.Fatalf("with the cache: %+v, want allowed by the cache", d)
	}
	cache.Close()
	for n := range 5 {
		if d := l.Allow(context.Background(), "c"); !d.Allowed || !d.Local {
			t.Fatalf("without the cache, request %d: %+v, want allowed locally", n, d)
		}
	}
	if d := l.Allow(context.Background(), "c"); d.Allowed {
		t.Errorf("the local bound let a sixth through: %+v", d)
	}
	if got := guard.Snapshot(); got.State != "open" || got.Trips != 1 {
		t.Errorf("breaker of the cache: %+v, want open", got)
	}
}

func TestCacheThatComesBackCountsAgain(t *testing.T) {
	cache := miniredis.RunT(t)
	client := NewCacheClient(cache.Addr(), patient)
	defer client.Close()
	// Failures beyond reach: this is about the client's connections and
	// the script that the new cache does not know.
	l := NewLimiter(Limit{100, time.Hour}, client, NewBreaker("a->cache", BreakerConfig{Enabled: true, Failures: 1000}))
	l.Allow(context.Background(), "c")
	cache.Close()
	l.Allow(context.Background(), "c")
	if err := cache.Restart(); err != nil {
		t.Fatal(err)
	}
	for range 200 { // kept connections to the old cache are used up first
		if !l.Allow(context.Background(), "c").Local {
			return
		}
	}
	t.Error("the limiter never went back to the cache")
}

func TestHangingCacheIsGivenUp(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts in the kernel, never answers
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	client := NewCacheClient(silent.Addr().String(), CachePatience)
	defer client.Close()
	guard := NewBreaker("a->cache", BreakerConfig{Enabled: true, Failures: 3, OpenFor: time.Hour})
	l := NewLimiter(Limit{1000, time.Hour}, client, guard)
	for range 10 { // 50 s if each of the 500 waited for the cache
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				if d := l.Allow(context.Background(), "c"); !d.Allowed || !d.Local {
					t.Errorf("%+v, want allowed locally", d)
				}
			})
		}
		all.Wait()
	}
	if got := guard.Snapshot().State; got != "open" {
		t.Errorf("breaker of the cache: %s, want open", got)
	}
}

func TestLocalCountIsBounded(t *testing.T) {
	l := NewLimiter(Limit{1, time.Hour}, nil, nil)
	now := noon.UnixMicro()
	for n := range localClients + 2 {
		if !l.alone(fmt.Sprint(n), now).Allowed {
			t.Fatalf("new client %d was refused", n)
		}
	}
	if kept := len(l.recent) + len(l.older); kept > localClients {
		t.Errorf("%d clients kept, want at most %d", kept, localClients)
	}
	if l.alone(fmt.Sprint(localClients+1), now).Allowed {
		t.Error("the newest client was forgotten")
	}
}

func TestLimitValidateNamesEveryProblem(t *testing.T) {
	for _, row := range []struct {
		limit Limit
		want  string
	}{
		{Limit{}, ""},
		{Limit{100, time.Minute}, ""},
		{Limit{-1, 0}, "rate limit of -1 requests: must not be negative\nrate limit per 0s: must be more than 0"},
		{Limit{2, time.Microsecond}, "rate limit of 2 requests per 1µs: more than one per microsecond"},
	} {
		got := ""
		if err := row.limit.Validate(); err != nil {
			got = err.Error()
		}
		if got != row.want {
			t.Errorf("%+v:\n got %q\nwant %q", row.limit, got, row.want)
		}
	}
}

func BenchmarkLimiterShared(b *testing.B) {
	cache := miniredis.RunT(b)
	client := NewCacheClient(cache.Addr(), patient)
	defer client.Close()
	l := NewLimiter(Limit{1000, time.Second}, client, NewBreaker("a->cache", BreakerConfig{Enabled: true}))
	b.ReportAllocs()
	for b.Loop() {
		l.Allow(context.Background(), "customer")
	}
}

func BenchmarkLimiterLocal(b *testing.B) {
	l := NewLimiter(Limit{1000, time.Second}, nil, nil)
	b.ReportAllocs()
	for b.Loop() {
		l.Allow(context.Background(), "customer")
	}
}

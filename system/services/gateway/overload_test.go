package gateway

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ordbench/ordbench/system/endpoint"
	"github.com/ordbench/ordbench/system/pki"
	"github.com/ordbench/ordbench/system/resilience"
)

func TestOnlyWhatIsSafeIsAskedTwice(t *testing.T) {
	for _, row := range []struct {
		name, method, path string
		status, hits       int
	}{
		{"a torn read is", "GET", "/orders/7", 202, 2},
		{"a torn order is not: it may have been placed", "POST", "/orders", 502, 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			var hits atomic.Int32
			e := start(t, []string{service(t, func(w http.ResponseWriter, r *http.Request) {
				if hits.Add(1) == 1 {
					c, _, _ := http.NewResponseController(w).Hijack()
					c.Close()
					return
				}
				accept(w, r)
			})}, func(c *Config, _ *limits) { c.Retry = resilience.RetryConfig{Tries: 3, Backoff: true, Budget: true} })
			if got := ask(t, e, row.method, row.path, ""); got.status != row.status || int(hits.Load()) != row.hits {
				t.Errorf("status %d after %d tries, want %d after %d", got.status, hits.Load(), row.status, row.hits)
			}
		})
	}
}

func TestAnOrderThatReachedNobodyIsTriedAgain(t *testing.T) {
	e := start(t, []string{hold(t)}, func(c *Config, _ *limits) { c.Retry = resilience.RetryConfig{Tries: 3, Budget: true} })
	wantProblem(t, post(t, e, order), 503, byUnreachable)
	if metrics := read(t, e.admin+"/metrics"); !strings.Contains(metrics, `ordbench_gateway_retries_total{dependency="order"} 2`) {
		t.Error("not tried three times")
	}
}

func TestADependencyThatHangsTiesUpItsOwnPlacesOnly(t *testing.T) {
	for _, row := range []struct {
		name    string
		onePool bool
		orders  int
	}{
		{"with bulkheads", false, 202},
		{"without", true, 503},
	} {
		t.Run(row.name, func(t *testing.T) {
			inside, let := make(chan bool), make(chan bool)
			stock := service(t, func(http.ResponseWriter, *http.Request) {
				inside <- true
				<-let
			})
			e := start(t, []string{service(t, accept)}, func(c *Config, _ *limits) {
				c.Inventories, c.OnePool = []string{stock}, row.onePool
				c.Pool = resilience.PoolConfig{Places: 1}
			})
			var first sync.WaitGroup
			first.Go(func() { ask(t, e, "GET", "/stock/sku-0001", "") })
			<-inside
			got := ask(t, e, "GET", "/stock/sku-0002", "")
			wantProblem(t, got, 503, byBulkhead)
			if got.header.Get(refusedBy) != byBulkhead || got.header.Get("Retry-After") == "" {
				t.Errorf("%+v", got.header)
			}
			if got := post(t, e, order); got.status != row.orders {
				t.Errorf("an order beside a hanging inventory: %d, want %d", got.status, row.orders)
			}
			close(let)
			first.Wait()
		})
	}
}

// A token that nobody can read shows that nobody looked at it.
func TestWhatHasNoChanceCostsNoSignature(t *testing.T) {
	inside, let := make(chan bool), make(chan bool)
	g := guard(t, func(c *Config, _ *limits) {
		c.Pool = resilience.PoolConfig{Places: 1}
		c.Orders = []string{service(t, func(w http.ResponseWriter, r *http.Request) {
			inside <- true
			<-let
			accept(w, r)
		})}
	})
	wantProblem(t, post(t, g.edge, order, "Authorization", "Bearer nonsense"), 401, "token")
	token := g.token(t, "u1", time.Now())
	var first sync.WaitGroup
	first.Go(func() { post(t, g.edge, order, "Authorization", "Bearer "+token) })
	<-inside
	wantProblem(t, post(t, g.edge, order, "Authorization", "Bearer nonsense"), 503, byBulkhead)
	close(let)
	first.Wait()
}

func TestWhatWaitsForTooLongIsShed(t *testing.T) {
	inside, let := make(chan bool), make(chan bool)
	e := start(t, []string{service(t, func(w http.ResponseWriter, r *http.Request) {
		inside <- true
		<-let
		accept(w, r)
	})}, func(c *Config, _ *limits) { c.Pool = resilience.PoolConfig{Places: 1, Shed: true} })
	var first sync.WaitGroup
	first.Go(func() { post(t, e, order) })
	<-inside
	got := post(t, e, order)
	wantProblem(t, got, 503, byShedding)
	if got.header.Get(refusedBy) != byShedding {
		t.Errorf("%+v", got.header)
	}
	close(let)
	first.Wait()
}

func TestServiceIsToldHowLongItHas(t *testing.T) {
	told := make(chan int64, 1)
	e := start(t, []string{service(t, func(w http.ResponseWriter, r *http.Request) {
		ms, _ := strconv.ParseInt(r.Header.Get(endpoint.TimeoutField), 10, 64)
		told <- ms
		accept(w, r)
	})}, nil)
	post(t, e, order)
	if ms := <-told; ms <= 5000 || ms > 10_000 {
		t.Errorf("%d ms, want almost the 10 s of the gateway", ms)
	}
	post(t, e, order, endpoint.TimeoutField, "5000")
	if ms := <-told; ms <= 0 || ms > 5000 {
		t.Errorf("%d ms, want almost the 5 s of the client", ms)
	}
	post(t, e, order, endpoint.TimeoutField, "60000")
	if ms := <-told; ms > 10_000 {
		t.Errorf("%d ms: a client made the gateway wait for longer than it would", ms)
	}
	slow := start(t, []string{service(t, hang)}, nil)
	began := time.Now()
	wantProblem(t, post(t, slow, order, endpoint.TimeoutField, "50"), 504, "timeout")
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("the client's 50 ms took %s", took)
	}
}

func TestOrdersGoBeforeReadsAndNobodyRaisesHimself(t *testing.T) {
	for _, row := range []struct {
		name, method string
		priority     []string
		caller       pki.Caller
		want         resilience.Priority
	}{
		{"an order", "POST", nil, pki.Caller{}, resilience.High},
		{"a read", "GET", nil, pki.Caller{}, resilience.Middle},
		{"a read that thinks highly of itself", "GET", []string{"u=0"}, pki.Caller{}, resilience.Middle},
		{"an order that can wait", "POST", []string{"i, u=5"}, pki.Caller{}, resilience.Low},
		{"a read that can wait", "GET", []string{"u=4"}, pki.Caller{}, resilience.Low},
		{"the usual urgency", "POST", []string{"u=3"}, pki.Caller{}, resilience.High},
		{"nonsense", "POST", []string{"u=44, u=x, 7"}, pki.Caller{}, resilience.High},
		{"an order of a batch", "POST", []string{"u=0"}, pki.Caller{Batch: true}, resilience.Low},
	} {
		r := httptest.NewRequest(row.method, "/orders", nil)
		r.Header["Priority"] = row.priority
		if got := urgency(r, row.caller); got != row.want {
			t.Errorf("%s: %d, want %d", row.name, got, row.want)
		}
	}
}

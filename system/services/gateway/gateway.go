// Package gateway is the edge of the order system: Run serves the
// routes of Config.Listen and forwards them to the order and the inventory
// service.
//
//	POST /orders       to order, with an Idempotency-Key if the client has none
//	GET  /orders       to order
//	GET  /orders/{id}  to order
//	POST /orders/{id}/cancel  to order
//	GET  /stock/{sku}  to inventory
//	GET  /openapi.json the OpenAPI document, for everybody
//
// The invariant is that an answer says what is known of the request. One that
// carries X-Refused-By was certainly not processed: 429 by rate-limit, 503 by
// shedding, bulkhead, breaker or unreachable. 504 (no answer in time) and 502
// (the connection broke) leave it unknown: the client may repeat the request
// under its idempotency key. By itself the gateway repeats what was certainly
// not processed, and reads, within a budget. All other answers are the
// service's own. Errors of the gateway are application/problem+json.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/ordbench/ordbench/system/endpoint"
	"github.com/ordbench/ordbench/system/pki"
	"github.com/ordbench/ordbench/system/resilience"
	"github.com/ordbench/ordbench/system/telemetry"
)

// cacheBreaker guards the limiter's cache, whatever the scenario does with
// the other breakers: without it, a hanging cache would slow every request.
var cacheBreaker = resilience.BreakerConfig{Enabled: true, Failures: 3, OpenFor: time.Second}

// gateway is the handler of the API.
type gateway struct {
	limits    limits
	proxies   proxies
	identity  *pki.Identity
	tracer    *telemetry.Tracer
	order     *upstream
	inventory *upstream
	common    *resilience.Pool    // of all dependencies, where there are no bulkheads
	cache     *redis.Client       // nil: no limit
	limiter   *resilience.Limiter // nil: no limit
	policy    []string            // RateLimit-Policy
	breakers  resilience.Breakers // one per dependency
	metrics   metrics
	bearer    *pki.Verifier // nil: nobody is asked who he is
	audit     *telemetry.Audit
	log       *slog.Logger
	logged    atomic.Int64 // Unix second of the last failure that was logged
}

// newGateway makes the gateway of cfg; close it after its last request.
func newGateway(cfg Config, lim limits, reg prometheus.Registerer, tracer *telemetry.Tracer, log *slog.Logger) (*gateway, error) {
	trusted, err := parsePrefixes(cfg.TrustedProxies)
	if err != nil {
		return nil, err
	}
	g := &gateway{limits: lim, proxies: trusted, tracer: tracer, metrics: newMetrics(reg), log: log}
	if cfg.Bearer.Keys != "" {
		g.bearer = pki.NewVerifier(cfg.Bearer)
	}
	if g.audit, err = telemetry.OpenAudit(cfg.Audit, component, cfg.Replica); err != nil {
		return nil, err
	}
	if g.identity, err = pki.OpenIdentity(cfg.Identity, log); err != nil {
		return nil, errors.Join(err, g.audit.Close())
	}
	g.order = g.dependOn("order", cfg.Orders, cfg)
	g.inventory = g.dependOn("inventory", cfg.Inventories, cfg)
	if limit := cfg.RateLimit; limit.Requests > 0 {
		g.cache = resilience.NewCacheClient(cfg.Cache, lim.cacheWithin)
		g.limiter = resilience.NewLimiter(limit, g.cache, g.guard("cache", cacheBreaker))
		window := max(1, int64(limit.Per/time.Second))
		g.policy = []string{fmt.Sprintf(`"client";q=%d;w=%d`, limit.Requests, window)}
	}
	reg.MustRegister(g.breakers)
	return g, nil
}

// dependOn joins a dependency with a breaker of its own.
func (g *gateway) dependOn(name string, addrs []string, cfg Config) *upstream {
	replicas := make([]replica, len(addrs))
	for i, addr := range addrs {
		replicas[i].addr = addr
	}
	u := &upstream{
		name:      name,
		pool:      g.pool(cfg),
		retry:     resilience.NewRetry(cfg.Retry),
		replicas:  replicas,
		timeout:   cfg.Timeout,
		breaker:   g.guard(name, cfg.Breaker),
		identity:  g.identity,
		transport: newTransport(cfg.Timeout, name, g.identity),
	}
	u.traced = g.tracer.Transport(u.transport)
	g.metrics.watch(u)
	return u
}

// pool is the places for calls to one dependency, or, without bulkheads, for
// those to all of them.
func (g *gateway) pool(cfg Config) *resilience.Pool {
	if !cfg.OnePool {
		return resilience.NewPool(cfg.Pool)
	}
	if g.common == nil {
		g.common = resilience.NewPool(cfg.Pool)
	}
	return g.common
}

// guard makes the breaker towards a dependency.
func (g *gateway) guard(dependency string, cfg resilience.BreakerConfig) *resilience.Breaker {
	b := resilience.NewBreaker(component+"->"+dependency, cfg)
	b.Notify(func(t resilience.Transition) {
		g.log.Warn("breaker changed", "breaker", b.Name(), "from", t.From, "to", t.To)
	})
	g.breakers = append(g.breakers, b)
	return b
}

// close ends the connections to the dependencies.
func (g *gateway) close() {
	_ = g.audit.Close()
	g.order.transport.CloseIdleConnections()
	g.inventory.transport.CloseIdleConnections()
	if g.cache != nil {
		_ = g.cache.Close()
	}
}

// The paths that the turnstile knows too.
const (
	ordersPath = "/orders"
	orderPath  = "/orders/{id}"
)

// handler routes and counts the API. What matches no route is counted as one.
func (g *gateway) handler(requests *telemetry.Requests) http.Handler {
	mux := http.NewServeMux()
	route := func(path, allow string, u *upstream, methods ...string) {
		for _, method := range methods {
			mux.Handle(method+" "+path, requests.Route(method+" "+path, g.forwardTo(u)))
		}
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Allow", allow)
			endpoint.NewProblem(http.StatusMethodNotAllowed, "method", r.Method+" is not for "+path).Write(w)
		})
	}
	route(ordersPath, "GET, HEAD, POST", g.order, http.MethodGet, http.MethodPost)
	route(orderPath, "GET, HEAD", g.order, http.MethodGet)
	route(orderPath+"/cancel", "POST", g.order, http.MethodPost)
	route("/stock/{sku}", "GET, HEAD", g.inventory, http.MethodGet)
	mux.Handle("GET /openapi.json", requests.Route("GET /openapi.json", http.HandlerFunc(describe)))
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		endpoint.NewProblem(http.StatusNotFound, "route", "try POST /orders, GET /orders/{id}, POST /orders/{id}/cancel or GET /stock/{sku}").Write(w)
	})
	return mux
}

// forwardTo asks one question after the other, the cheap ones and those that
// protect the others first.
func (g *gateway) forwardTo(u *upstream) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, client := g.proxies.client(r)
		if len(r.Header) > g.limits.headers {
			w.Header().Set("Connection", "close")
			g.reject(w, r, client, "", &rejection{status: http.StatusRequestHeaderFieldsTooLarge, name: "headers",
				detail: fmt.Sprintf("more than %d header fields", g.limits.headers)})
			return
		}
		// What has no chance is refused before a signature is checked, the
		// cache is asked or a body is read. Knowing the caller could only
		// lower its urgency.
		if err := u.pool.Refuses(urgency(r, pki.Caller{})); err != nil {
			g.explain(w, r, u, err)
			return
		}
		caller, no := g.authenticate(w, r)
		if no != nil {
			g.reject(w, r, client, "", no)
			return
		}
		if g.limiter != nil && !g.admit(w, r, client) {
			return
		}
		body, no := g.limits.readBody(w, r)
		if no != nil {
			w.Header().Set("Connection", "close") // the rest of the body is not waited for
			g.reject(w, r, client, caller.Subject, no)
			return
		}
		header, no := g.header(w, r, peer, caller)
		if no != nil {
			g.reject(w, r, client, caller.Subject, no)
			return
		}
		within, _ := endpoint.Timeout(r)
		a, err := u.do(r.Context(), call{
			method: r.Method, url: r.URL, header: header, body: body, urgent: urgency(r, caller), within: within,
		})
		if err != nil {
			g.explain(w, r, u, err)
			return
		}
		pass(w, r, a)
		if a.status == http.StatusForbidden { // who may see what is for the service to say
			g.audit.Refused(r.Context(), telemetry.Refusal{
				Reason: "forbidden", Status: a.status, Client: client.String(), Subject: caller.Subject, Method: r.Method, Path: r.URL.Path,
			})
		}
	})
}

// admit asks the limiter, and answers for it if it refuses.
func (g *gateway) admit(w http.ResponseWriter, r *http.Request, client netip.Addr) bool {
	d := g.limiter.Allow(r.Context(), share(client))
	if d.Local {
		g.metrics.local.Inc()
	}
	reset := int64((d.ResetAfter + time.Second - 1) / time.Second)
	h := w.Header()
	h["Ratelimit-Policy"] = g.policy
	h["Ratelimit"] = []string{`"client";r=` + strconv.Itoa(d.Remaining) + ";t=" + strconv.FormatInt(reset, 10)}
	if !d.Allowed {
		const detail = "the client has used up its share"
		g.audit.Refused(r.Context(), telemetry.Refusal{
			Reason: byRateLimit, Status: http.StatusTooManyRequests, Client: client.String(), Method: r.Method, Path: r.URL.Path, Detail: detail,
		})
		g.refuse(w, http.StatusTooManyRequests, byRateLimit, d.RetryAfter, detail)
	}
	return d.Allowed
}

// What the answer to a request that was shed says.
const (
	shedRetry  = time.Second
	shedDetail = "there is more to do than can be done in time"
)

// explain answers for an exchange that brought no answer.
func (g *gateway) explain(w http.ResponseWriter, r *http.Request, u *upstream, err error) {
	switch {
	case errors.Is(err, resilience.ErrShed):
		g.refuse(w, http.StatusServiceUnavailable, byShedding, shedRetry, shedDetail)
		return
	case errors.Is(err, resilience.ErrFull):
		g.refuse(w, http.StatusServiceUnavailable, byBulkhead, time.Second, "the places for calls to the "+u.name+" service are taken")
		return
	case errors.Is(err, resilience.ErrOpen):
		g.refuse(w, http.StatusServiceUnavailable, byBreaker, u.breaker.RetryAfter(),
			"the "+u.name+" service is failing and not asked for now")
		return
	}
	var f *failure
	switch {
	case errors.As(err, &f):
	case errors.Is(err, context.Canceled): // while it waited for a place
		f = &failure{hungUp, err}
	case errors.Is(err, context.DeadlineExceeded):
		g.refuse(w, http.StatusServiceUnavailable, byShedding, time.Second, "no place came free in the time that the client waits")
		return
	default:
		f = &failure{broken, err}
	}
	g.metrics.failures.WithLabelValues(u.name, string(f.kind)).Inc()
	if now := time.Now().Unix(); f.kind != hungUp && g.logged.Swap(now) != now {
		g.log.WarnContext(r.Context(), "no answer from a dependency; more within the same second are only counted",
			"dependency", u.name, "kind", f.kind, "err", f.err)
	}
	switch f.kind {
	case unreachable:
		g.refuse(w, http.StatusServiceUnavailable, byUnreachable, time.Second, "the "+u.name+" service cannot be reached")
	case timedOut:
		endpoint.NewProblem(http.StatusGatewayTimeout, "timeout",
			"the "+u.name+" service did not answer in time; whether it processed the request is unknown").Write(w)
	case broken:
		endpoint.NewProblem(http.StatusBadGateway, "broken",
			"the connection to the "+u.name+" service broke; whether it processed the request is unknown").Write(w)
	case hungUp:
		endpoint.HangUp()
	}
}

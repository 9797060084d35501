// Package gateway is the edge of the order system: Run serves the three
// routes of Config.Listen and forwards them to the order and the inventory
// service.
//
//	POST /orders       to order, with an Idempotency-Key if the client has none
//	GET  /orders/{id}  to order
//	GET  /stock/{sku}  to inventory
//
// The invariant is that an answer says what is known of the request. One that
// carries X-Refused-By was certainly not processed: 429 by rate-limit, 503 by
// breaker or unreachable. 504 (no answer in time) and 502 (the connection
// broke) leave it unknown: the client may repeat the request under its
// idempotency key, the gateway never does so by itself. All other answers are
// the service's own. Errors of the gateway are application/problem+json.
package gateway

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ordbench/ordbench/system/resilience"
	"github.com/ordbench/ordbench/system/telemetry"
)

// idempotencyKey is spelt in lower case on the way to a service: net/http
// would repeat a POST that carries "Idempotency-Key" by itself, even after it
// was sent, and repeating is not for the gateway to decide.
const idempotencyKey = "idempotency-key"

// gateway is the handler of the API.
type gateway struct {
	limits    limits
	proxies   proxies
	limiter   *resilience.Limiter // nil: no limit
	policy    []string            // RateLimit-Policy
	order     *upstream
	inventory *upstream
	metrics   metrics
	log       *slog.Logger
	logged    atomic.Int64 // Unix second of the last failure that was logged
}

// metrics are the gateway's own.
//
//	ordbench_gateway_refused_total{by}                   answers with X-Refused-By
//	ordbench_gateway_upstream_failures_total{dependency,kind}  exchanges without an answer
//	ordbench_gateway_ratelimit_local_total               decisions made without the cache
type metrics struct {
	refused  *prometheus.CounterVec
	failures *prometheus.CounterVec
	local    prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) metrics {
	m := metrics{
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ordbench_gateway_refused_total",
			Help: "Requests refused before they were processed, by what refused them.",
		}, []string{"by"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ordbench_gateway_upstream_failures_total",
			Help: "Exchanges with a dependency that brought no answer.",
		}, []string{"dependency", "kind"}),
		local: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ordbench_gateway_ratelimit_local_total",
			Help: "Rate limit decisions made without the cache.",
		}),
	}
	reg.MustRegister(m.refused, m.failures, m.local)
	return m
}

// handler routes and counts the API. What matches no route is counted as one.
func (g *gateway) handler(requests *telemetry.Requests) http.Handler {
	mux := http.NewServeMux()
	route := func(pattern, allow string, u *upstream) {
		method, path := allow, pattern
		if allow == http.MethodGet {
			allow = "GET, HEAD"
		}
		mux.Handle(method+" "+path, requests.Route(method+" "+path, g.forwardTo(u)))
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Allow", allow)
			newProblem(http.StatusMethodNotAllowed, "method", r.Method+" is not for "+path).write(w)
		})
	}
	route("/orders", http.MethodPost, g.order)
	route("/orders/{id}", http.MethodGet, g.order)
	route("/stock/{sku}", http.MethodGet, g.inventory)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		newProblem(http.StatusNotFound, "route", "try POST /orders, GET /orders/{id} or GET /stock/{sku}").write(w)
	})
	return mux
}

func (g *gateway) forwardTo(u *upstream) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.Header) > g.limits.headers {
			w.Header().Set("Connection", "close")
			newProblem(http.StatusRequestHeaderFieldsTooLarge, "headers",
				fmt.Sprintf("more than %d header fields", g.limits.headers)).write(w)
			return
		}
		peer, client := g.proxies.client(r)
		if g.limiter != nil && !g.admit(w, r, client) {
			return
		}
		body, ok := g.limits.readBody(w, r)
		if !ok {
			return
		}
		header, ok := g.header(w, r, peer)
		if !ok {
			return
		}
		a, err := u.do(r.Context(), call{method: r.Method, url: r.URL, header: header, body: body})
		if err != nil {
			g.explain(w, u, err)
			return
		}
		pass(w, r, a)
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
		g.refuse(w, byRateLimit, d.RetryAfter,
			newProblem(http.StatusTooManyRequests, byRateLimit, "the client has used up its share"))
	}
	return d.Allowed
}

// explain answers for an exchange that brought no answer.
func (g *gateway) explain(w http.ResponseWriter, u *upstream, err error) {
	if errors.Is(err, resilience.ErrOpen) {
		g.refuse(w, byBreaker, u.breaker.RetryAfter(),
			newProblem(http.StatusServiceUnavailable, byBreaker, "the "+u.name+" service is failing and not asked for now"))
		return
	}
	var f *failure
	if !errors.As(err, &f) {
		f = &failure{broken, err}
	}
	g.metrics.failures.WithLabelValues(u.name, string(f.kind)).Inc()
	if now := time.Now().Unix(); f.kind != hungUp && g.logged.Swap(now) != now {
		g.log.Warn("no answer from a dependency; more within the same second are only counted",
			"dependency", u.name, "kind", f.kind, "err", f.err)
	}
	switch f.kind {
	case unreachable:
		g.refuse(w, byUnreachable, time.Second,
			newProblem(http.StatusServiceUnavailable, byUnreachable, "the "+u.name+" service cannot be reached"))
	case timedOut:
		newProblem(http.StatusGatewayTimeout, "timeout",
			fmt.Sprintf("the %s service did not answer within %s; whether it processed the request is unknown", u.name, u.timeout)).write(w)
	case broken:
		newProblem(http.StatusBadGateway, "broken",
			"the connection to the "+u.name+" service broke; whether it processed the request is unknown").write(w)
	case hungUp: // nobody is there to read an answer
	}
}

// refuse answers a request that was certainly not processed.
func (g *gateway) refuse(w http.ResponseWriter, by string, retry time.Duration, p problem) {
	g.metrics.refused.WithLabelValues(by).Inc()
	h := w.Header()
	h[refusedBy] = []string{by}
	h["Retry-After"] = []string{seconds(retry)}
	p.write(w)
}

// header makes the header that is sent on: the client's own fields without
// those that belong to its connection, and the way it came. What an untrusted
// peer claims about that way is dropped.
func (g *gateway) header(w http.ResponseWriter, r *http.Request, peer netip.Addr) (http.Header, bool) {
	h := make(http.Header, len(r.Header)+2)
	for k, v := range r.Header {
		h[k] = v
	}
	dropConnectionFields(h)
	via := peer.String()
	if g.proxies.trust(peer) {
		for i := len(r.Header["X-Forwarded-For"]) - 1; i >= 0; i-- {
			via = r.Header["X-Forwarded-For"][i] + ", " + via
		}
	} else {
		for _, claim := range []string{"Forwarded", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip"} {
			delete(h, claim)
		}
	}
	h["X-Forwarded-For"] = []string{via}
	if r.Method != http.MethodPost {
		return h, true
	}
	keys := h["Idempotency-Key"]
	delete(h, "Idempotency-Key")
	switch {
	case len(keys) > 1:
		newProblem(http.StatusBadRequest, "idempotency-key", "more than one Idempotency-Key").write(w)
		return nil, false
	case len(keys) == 0:
		id, err := uuid.NewV7()
		if err != nil {
			newProblem(http.StatusInternalServerError, "random", "no random numbers").write(w)
			return nil, false
		}
		keys = []string{id.String()}
	}
	h[idempotencyKey] = keys
	// Told even to a client that sent none: with it, it can repeat a
	// request whose outcome is unknown.
	w.Header()["Idempotency-Key"] = keys
	return h, true
}

// pass gives the client the answer of a service.
func pass(w http.ResponseWriter, r *http.Request, a answer) {
	dropConnectionFields(a.header)
	h := w.Header()
	for k, v := range a.header {
		h[k] = v
	}
	if r.Method != http.MethodHead && bodyAllowed(a.status) {
		h["Content-Length"] = []string{strconv.Itoa(len(a.body))}
	}
	w.WriteHeader(a.status)
	if len(a.body) > 0 {
		w.Write(a.body)
	}
}

func bodyAllowed(status int) bool {
	return status != http.StatusNoContent && status != http.StatusNotModified
}

// dropConnectionFields deletes what belongs to one connection, RFC 9110
// section 7.6.1, and what this end of it decides by itself.
func dropConnectionFields(h http.Header) {
	for _, list := range h["Connection"] {
		for name := range splitList(list) {
			delete(h, http.CanonicalHeaderKey(name))
		}
	}
	for _, name := range []string{
		"Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization",
		"Te", "Trailer", "Transfer-Encoding", "Upgrade", "Expect", "Content-Length",
	} {
		delete(h, name)
	}
}

// newUpstream joins a dependency with its breaker.
func newUpstream(name string, addrs []string, cfg Config, transport *http.Transport) *upstream {
	return &upstream{
		name:      name,
		addrs:     addrs,
		timeout:   cfg.Timeout,
		breaker:   resilience.NewBreaker("gateway->"+name, cfg.Breaker),
		transport: transport,
	}
}

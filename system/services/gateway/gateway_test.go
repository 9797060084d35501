package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ordbench/ordbench/system/endpoint"
	"github.com/ordbench/ordbench/system/resilience"
)

// edge is a gateway under test.
type edge struct {
	url   string // of the API
	admin string // URL of the admin endpoint
	log   *syncBuffer
	stop  context.CancelFunc
	ended chan error
}

// start runs a gateway in front of the given order replicas. change may
// adjust the config and the limits.
func start(t testing.TB, orders []string, change func(*Config, *limits)) *edge {
	t.Helper()
	lim := defaultLimits()
	lim.cacheWithin = 20 * time.Second // a busy machine is not a dead cache
	cfg := Config{
		Replica:     "gateway-0",
		Listen:      hold(t),
		Admin:       hold(t),
		Orders:      orders,
		Inventories: orders,
		Breaker:     resilience.BreakerConfig{Enabled: true, Failures: 1000, OpenFor: time.Hour},
		Timeout:     10 * time.Second,
		Grace:       10 * time.Second,
	}
	if change != nil {
		change(&cfg, &lim)
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	e := &edge{url: "http://" + cfg.Listen, admin: "http://" + cfg.Admin, log: &syncBuffer{}, ended: make(chan error, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	e.stop = cancel
	go func() { e.ended <- run(ctx, cfg, lim, slog.New(slog.NewTextHandler(e.log, nil))) }()
	t.Cleanup(func() {
		cancel()
		select {
		case <-e.ended:
		case <-time.After(20 * time.Second):
			t.Error("the gateway did not end")
		}
	})
	await(t, cfg.Listen)
	await(t, cfg.Admin)
	return e
}

// hold reserves an address that refuses connections until it is listened on.
func hold(t testing.TB) string {
	t.Helper()
	r, err := endpoint.Reserve("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Release() })
	return r.Addr()
}

// await returns once addr takes connections.
func await(t testing.TB, addr string) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// service starts an upstream and gives its address.
func service(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// accept answers like the order service does.
func accept(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Location", "/orders/7")
	w.WriteHeader(http.StatusAccepted)
	io.WriteString(w, `{"order_id":"7","status":"PENDING"}`)
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// reply is an answer read to its end.
type reply struct {
	status int
	header http.Header
	body   string
}

const order = `{"user_id":"u1","total":12.5}`

func post(t testing.TB, e *edge, body string, header ...string) reply {
	t.Helper()
	return ask(t, e, "POST", "/orders", body, header...)
}

func ask(t testing.TB, e *edge, method, path, body string, header ...string) reply {
	t.Helper()
	req, err := http.NewRequest(method, e.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{res.StatusCode, res.Header, string(b)}
}

var client = &http.Client{
	Transport: &http.Transport{MaxIdleConnsPerHost: 64},
	Timeout:   30 * time.Second,
}

// wantProblem checks the shape of an error answer and returns it.
func wantProblem(t testing.TB, r reply, status int, name string) endpoint.Problem {
	t.Helper()
	if got := r.header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("content type %q, want application/problem+json; status %d, body %s", got, r.status, r.body)
	}
	dec := json.NewDecoder(strings.NewReader(r.body))
	dec.DisallowUnknownFields()
	var p endpoint.Problem
	if err := dec.Decode(&p); err != nil {
		t.Fatalf("%s: %v", r.body, err)
	}
	if r.status != status || p.Status != status {
		t.Errorf("status %d, in the body %d, want %d: %s", r.status, p.Status, status, r.body)
	}
	if want := "urn:ordbench:problem:" + name; p.Type != want {
		t.Errorf("type %q, want %q", p.Type, want)
	}
	if p.Errors != nil {
		t.Errorf("errors %q, want none: the gateway does not judge bodies", p.Errors)
	}
	if p.Title != http.StatusText(status) || p.Detail == "" {
		t.Errorf("title %q and detail %q, want %q and a reason", p.Title, p.Detail, http.StatusText(status))
	}
	return p
}

func TestForwardsTheThreeRoutes(t *testing.T) {
	echo := func(who string) string {
		return service(t, func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			w.Header().Set("X-Seen", strings.TrimSpace(who+" "+r.Method+" "+r.URL.RequestURI()+" "+string(b)))
			w.WriteHeader(http.StatusOK)
			io.WriteString(w, "answer")
		})
	}
	orders, stock := echo("order"), echo("inventory")
	e := start(t, []string{orders}, func(c *Config, _ *limits) { c.Inventories = []string{stock} })
	for _, row := range []struct{ method, path, body, seen string }{
		{"POST", "/orders", order, "order POST /orders " + order},
		{"GET", "/orders/0192-ab", "", "order GET /orders/0192-ab"},
		{"GET", "/orders/a%2Fb?x=1", "", "order GET /orders/a%2Fb?x=1"},
		{"GET", "/stock/sku-0001", "", "inventory GET /stock/sku-0001"},
		{"HEAD", "/stock/sku-0001", "", "inventory HEAD /stock/sku-0001"},
	} {
		got := ask(t, e, row.method, row.path, row.body)
		if got.status != 200 || got.header.Get("X-Seen") != row.seen {
			t.Errorf("%s %s: %d, seen %q, want 200 and %q", row.method, row.path, got.status, got.header.Get("X-Seen"), row.seen)
		}
		if row.method != "HEAD" && got.body != "answer" {
			t.Errorf("%s %s: body %q", row.method, row.path, got.body)
		}
	}
}

func TestAcceptedOrderComesBackUnchanged(t *testing.T) {
	e := start(t, []string{service(t, accept)}, nil)
	got := post(t, e, order, "Idempotency-Key", "k1")
	if got.status != 202 || got.body != `{"order_id":"7","status":"PENDING"}` || got.header.Get("Location") != "/orders/7" {
		t.Errorf("%+v", got)
	}
	if got.header.Get(refusedBy) != "" {
		t.Errorf("an accepted order is marked as refused by %q", got.header.Get(refusedBy))
	}
}

func TestUnknownRoutesAndMethodsAreProblems(t *testing.T) {
	e := start(t, []string{service(t, accept)}, nil)
	wantProblem(t, ask(t, e, "GET", "/nothing", ""), 404, "route")
	got := ask(t, e, "DELETE", "/orders/1", "")
	wantProblem(t, got, 405, "method")
	if allow := got.header.Get("Allow"); allow != "GET, HEAD" {
		t.Errorf("Allow: %q", allow)
	}
	got = ask(t, e, "PATCH", "/orders", "")
	wantProblem(t, got, 405, "method")
	if allow := got.header.Get("Allow"); allow != "GET, HEAD, POST" {
		t.Errorf("Allow: %q", allow)
	}
}

func TestBreakersAreShownByNameWithTheirTransitions(t *testing.T) {
	e := start(t, []string{hold(t)}, func(c *Config, _ *limits) {
		c.Breaker.Failures = 2
		c.Inventories = []string{service(t, accept)}
		c.RateLimit = RateLimit{Requests: 1000, Per: time.Minute}
		c.Cache = hold(t)
	})
	for range 3 {
		post(t, e, order)
	}
	ask(t, e, "GET", "/stock/sku-0001", "")
	var states []resilience.BreakerState
	fetch(t, e.admin+"/breakers", &states)
	got := map[string]resilience.BreakerState{}
	for _, s := range states {
		got[s.Name] = s
	}
	if len(states) != 3 {
		t.Errorf("%d breakers, want one per dependency: %+v", len(states), states)
	}
	if s := got["gateway->order"]; s.State != "open" || s.Trips != 1 || len(s.Transitions) != 1 ||
		s.Transitions[0].To != "open" || time.Since(s.Transitions[0].At) > time.Minute {
		t.Errorf("order: %+v, want open since now", s)
	}
	if s := got["gateway->inventory"]; s.State != "closed" || s.Trips != 0 {
		t.Errorf("inventory: %+v, want closed: its breaker is its own", s)
	}
	if s := got["gateway->cache"]; s.Trips == 0 {
		t.Errorf("cache: %+v, want tripped", s)
	}
	metrics := read(t, e.admin+"/metrics")
	for _, want := range []string{
		`ordbench_breaker_state{breaker="gateway->order",state="open"} 1`,
		`ordbench_breaker_trips_total{breaker="gateway->order"} 1`,
		`ordbench_gateway_refused_total{by="breaker"} 1`,
		`ordbench_gateway_refused_total{by="unreachable"} 2`,
		`ordbench_gateway_upstream_failures_total{dependency="order",kind="unreachable"} 2`,
		`ordbench_gateway_ratelimit_local_total 4`,
		`ordbench_http_requests_total{code="503",route="POST /orders"} 3`,
		`ordbench_http_requests_total{code="202",route="GET /stock/{sku}"} 1`,
		`ordbench_component_info{component="gateway",replica="gateway-0"} 1`,
	} {
		if !strings.Contains(metrics, want+"\n") {
			t.Errorf("metrics lack %s", want)
		}
	}
	if log := e.log.String(); !strings.Contains(log, "breaker=gateway->order from=closed to=open") {
		t.Errorf("the log does not tell that the breaker opened:\n%s", log)
	}
}

func fetch(t *testing.T, url string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(read(t, url)), v); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, url string) string {
	t.Helper()
	res, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

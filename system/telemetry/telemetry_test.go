package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLoggerMarksEachLine(t *testing.T) {
	for _, row := range []struct {
		name, component, replica string
		want                     map[string]any
	}{
		{"both marks", "order", "order-0", map[string]any{"component": "order", "replica": "order-0"}},
		{"a replica not yet known", "order", "", map[string]any{"component": "order"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			var out bytes.Buffer
			log := NewLogger(&out, row.component, row.replica)
			log.Debug("not shown")
			log.Info("up", "n", 7)
			var got map[string]any
			if err := json.Unmarshal(out.Bytes(), &got); err != nil {
				t.Fatalf("%s: %v", out.Bytes(), err)
			}
			if got["time"] == nil {
				t.Error("no time")
			}
			delete(got, "time")
			row.want["level"], row.want["msg"], row.want["n"] = "INFO", "up", 7.0
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAdminRoutes(t *testing.T) {
	dead := func(context.Context) error { return errors.New("no partition assigned yet") }
	type state struct {
		Name string `json:"name"`
	}
	for _, row := range []struct {
		name   string
		admin  Admin
		path   string
		status int
		body   string
	}{
		{"alive", Admin{}, "/healthz", 200, "alive\n"},
		{"alive though not ready", Admin{Ready: dead}, "/healthz", 200, "alive\n"},
		{"alive by its other name", Admin{Ready: dead}, "/livez", 200, "alive\n"},
		{"started without a condition", Admin{}, "/startupz", 200, "started\n"},
		{"not started says why", Admin{Ready: dead}, "/startupz", 503, "no partition assigned yet\n"},
		{"ready without a condition", Admin{}, "/readyz", 200, "ready\n"},
		{"not ready says why", Admin{Ready: dead}, "/readyz", 503, "no partition assigned yet\n"},
		{"no breakers are an empty list", Admin{}, "/breakers", 200, "[]\n"},
		{"breakers", Admin{Breakers: func() any { return []state{{"a->b"}} }}, "/breakers", 200, `[{"name":"a->b"}]` + "\n"},
		{"breakers that JSON cannot hold", Admin{Breakers: func() any { return math.NaN() }}, "/breakers", 500, "json: unsupported value: NaN\n"},
		{"nothing else", Admin{}, "/debug", 404, "404 page not found\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			row.admin.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, row.path, nil))
			if w.Code != row.status || w.Body.String() != row.body {
				t.Errorf("%d %q, want %d %q", w.Code, w.Body, row.status, row.body)
			}
		})
	}
}

func TestWhatHasStartedStaysStarted(t *testing.T) {
	for _, path := range []string{"/startupz", "/readyz"} { // whichever saw it first
		var ill error
		h := Admin{Ready: func(context.Context) error { return ill }}.Handler()
		ask := func(path string) int {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
			return w.Code
		}
		if code := ask(path); code != 200 {
			t.Errorf("%s: %d", path, code)
		}
		ill = errors.New("broker is away")
		if ask("/startupz") != 200 || ask("/readyz") != 503 || ask("/livez") != 200 {
			t.Error("a replica that lost its broker must be started, alive, and not ready")
		}
	}
}

func TestReadinessCheckIsBounded(t *testing.T) {
	admin := Admin{Ready: func(ctx context.Context) error {
		if _, ok := ctx.Deadline(); !ok {
			return errors.New("no deadline")
		}
		return nil
	}}
	w := httptest.NewRecorder()
	admin.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
	if w.Code != http.StatusOK {
		t.Error(w.Body)
	}
}

func TestMetricsNameTheComponent(t *testing.T) {
	want := `ordbench_component_info{component="cache",replica="cache-0"} 1`
	if got := scrape(t, Admin{Component: "cache", Replica: "cache-0"}); !strings.Contains(got, want) {
		t.Errorf("metrics lack %s", want)
	}
}

func scrape(t *testing.T, a Admin) string {
	t.Helper()
	w := httptest.NewRecorder()
	a.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return w.Body.String()
}

func TestRequestsAreCountedByRouteAndCode(t *testing.T) {
	reg := NewRegistry("order", "order-0")
	m := NewRequests(reg)
	h := m.Route("GET /orders/{id}", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/orders/early":
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusAccepted)
		case "/orders/body":
			io.WriteString(w, "x")
		case "/orders/none":
			w.WriteHeader(http.StatusNotFound)
		case "/orders/panic":
			panic("a defect")
		case "/orders/given-up":
			panic(http.ErrAbortHandler)
		}
	}))
	ask := func(ctx context.Context, path string) {
		defer func() { recover() }()
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil))
	}
	gone, hangUp := context.WithCancel(context.Background())
	hangUp()
	for range 3 {
		ask(context.Background(), "/orders/none")
	}
	for _, path := range []string{"/orders/early", "/orders/body", "/orders/silent", "/orders/panic", "/orders/given-up"} {
		ask(context.Background(), path)
	}
	ask(gone, "/orders/silent")
	got := scrape(t, Admin{Registry: reg})
	for _, want := range []string{
		`ordbench_http_requests_total{code="404",route="GET /orders/{id}"} 3`,
		`ordbench_http_requests_total{code="202",route="GET /orders/{id}"} 1`,
		`ordbench_http_requests_total{code="200",route="GET /orders/{id}"} 2`,
		`ordbench_http_requests_total{code="500",route="GET /orders/{id}"} 1`,
		`ordbench_http_requests_total{code="499",route="GET /orders/{id}"} 2`,
		`ordbench_http_request_duration_seconds_count{code="404",route="GET /orders/{id}"} 3`,
		`ordbench_http_requests_in_flight 0`,
	} {
		if !strings.Contains(got, want+"\n") {
			t.Errorf("metrics lack %s", want)
		}
	}
}

func TestAdminServesUntilItsContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	admin := Admin{Addr: "127.0.0.1:0"}
	l, err := admin.Listen(ctx)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- admin.ServeOn(ctx, l) }()
	res, err := http.Get("http://" + l.Addr().String() + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("ready: %d", res.StatusCode)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("end: %v", err)
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestAdminSaysWhichAddressIsTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	err = Admin{Addr: l.Addr().String()}.Serve(context.Background())
	if err == nil || !strings.Contains(err.Error(), "admin: listen on "+l.Addr().String()) {
		t.Errorf("%v, want the address", err)
	}
}

func BenchmarkRoute(b *testing.B) {
	m := NewRequests(NewRegistry("order", "order-0"))
	h := m.Route("GET /", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	w := httptest.NewRecorder()
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(w, r)
	}
}

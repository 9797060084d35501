package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/ordbench/ordbench/system/endpoint"
	"github.com/ordbench/ordbench/system/failpoint"
	"github.com/ordbench/ordbench/system/lever"
)

// readyWithin bounds how long a readiness check may take.
const readyWithin = 2 * time.Second

// Admin answers for the health of one replica, on an address of its own so
// that a full service can still be asked how it is:
//
//	GET /livez     200 while the process can answer at all; /healthz is the same
//	GET /startupz  200 once it was ready for the first time, else 503 and why not
//	GET /readyz    200 when it can take work, else 503 and why not
//	GET /metrics   Prometheus text
//	GET /breakers  JSON list of breaker states, [] where there are none
//	GET /debug/pprof/  profiles, for go tool pprof
//	GET /failpoints    those of the component; see failpoint.Handler
//	PUT, DELETE /levers/{name}  move the component while it runs, and let go
type Admin struct {
	Addr      string // host:port
	Component string
	Replica   string
	Ready     func(context.Context) error // why it cannot take work; nil: always ready
	Breakers  func() any                  // a JSON-able list; nil: none
	Registry  *prometheus.Registry        // nil: a new one
	Levers    []*lever.Lever              // that it has beside the common ones
}

// Serve listens on Addr and answers until ctx ends. Its error says that the
// address could not be had, or that the listener broke.
func (a Admin) Serve(ctx context.Context) error {
	l, err := a.Listen(ctx)
	if err != nil {
		return err
	}
	return a.ServeOn(ctx, l)
}

// Listen takes Addr for ServeOn, so that a component can find its address
// taken before it begins to work.
func (a Admin) Listen(ctx context.Context) (net.Listener, error) {
	l, err := endpoint.Listen(ctx, a.Addr)
	if err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	return l, nil
}

// ServeOn answers on l until ctx ends, and closes l.
func (a Admin) ServeOn(ctx context.Context, l net.Listener) error {
	if err := endpoint.Serve(ctx, l, endpoint.NewServer(a.Handler()), time.Second); err != nil {
		return fmt.Errorf("admin: %w", err)
	}
	return nil
}

// Handler answers the admin routes.
func (a Admin) Handler() http.Handler {
	reg := a.Registry
	if reg == nil {
		reg = NewRegistry(a.Component, a.Replica)
	}
	mux := http.NewServeMux()
	alive := func(w http.ResponseWriter, _ *http.Request) { text(w, http.StatusOK, "alive") }
	mux.HandleFunc("GET /livez", alive)
	mux.HandleFunc("GET /healthz", alive)
	var started atomic.Bool
	mux.HandleFunc("GET /startupz", func(w http.ResponseWriter, r *http.Request) {
		if started.Load() {
			text(w, http.StatusOK, "started")
			return
		}
		if err := a.check(r.Context()); err != nil {
			text(w, http.StatusServiceUnavailable, err.Error())
			return
		}
		started.Store(true)
		text(w, http.StatusOK, "started")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if err := a.check(r.Context()); err != nil {
			text(w, http.StatusServiceUnavailable, err.Error())
			return
		}
		started.Store(true)
		text(w, http.StatusOK, "ready")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /breakers", a.breakers)
	mux.Handle("/failpoints", failpoint.Handler(a.Component))
	mux.Handle("/failpoints/", failpoint.Handler(a.Component))
	mux.Handle("/levers/", lever.Handler(a.Levers...))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}

// check asks whether it is ready, within a bound.
func (a Admin) check(ctx context.Context) error {
	if a.Ready == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	return a.Ready(ctx)
}

func (a Admin) breakers(w http.ResponseWriter, _ *http.Request) {
	list := any([]struct{}{})
	if a.Breakers != nil {
		list = a.Breakers()
	}
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false) // people read "gateway->order" here
	if err := enc.Encode(list); err != nil {
		text(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body.Bytes())
}

func text(w http.ResponseWriter, code int, line string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	fmt.Fprintln(w, line)
}

package gateway

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ordbench/ordbench/system/resilience"
	"github.com/ordbench/ordbench/system/telemetry"
)

// BenchmarkHotPath is what the gateway itself does for one order, without the
// sockets on either side of it: with everything on but tokens and the cache,
// and once with no place free, which is what a refusal costs under overload.
// B/op and allocs/op are the point of it.
func BenchmarkHotPath(b *testing.B) {
	for _, row := range []struct {
		name   string
		full   bool
		status int
	}{{"forward", false, http.StatusAccepted}, {"refuse", true, http.StatusServiceUnavailable}} {
		b.Run(row.name, func(b *testing.B) {
			collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }))
			b.Cleanup(collector.Close)
			log := slog.New(slog.DiscardHandler)
			tracer, err := telemetry.StartTracer(telemetry.Tracing{Endpoint: collector.URL, Sample: 1}, component, "gateway-0", nil, log)
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = tracer.Close() })
			cfg := Config{Orders: []string{"127.0.0.1:1"}, Inventories: []string{"127.0.0.1:1"}, Timeout: time.Second}
			cfg.Breaker.Enabled = true
			cfg.Pool = resilience.PoolConfig{Places: 1}
			cfg.Retry = resilience.RetryConfig{Tries: 3, Backoff: true, Budget: true}
			reg := prometheus.NewRegistry()
			g, err := newGateway(cfg, defaultLimits(), reg, tracer, log)
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(g.close)
			g.order.traced = tracer.Transport(answering{})
			handler := g.handler(telemetry.NewRequests(reg).Traced(tracer, g.believes))
			if row.full {
				if err := g.order.pool.Enter(b.Context(), resilience.High); err != nil {
					b.Fatal(err)
				}
			}
			header := http.Header{
				"Content-Type": {"application/json"}, "Accept": {"*/*"}, "User-Agent": {"bench"},
				"Content-Length": {strconv.Itoa(len(order))}, "Idempotency-Key": {"0192f0c1-aaaa-7bbb-8ccc-dddddddddddd"}, "Authorization": {"Bearer none"}, "X-Forwarded-For": {"10.1.2.3"},
			}
			body := bytes.NewReader([]byte(order))
			text := []byte(order)
			r := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/orders", body)
			r.Header = header
			w := &nowhere{header: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				body.Reset(text)
				clear(w.header)
				handler.ServeHTTP(w, r)
				if w.status != row.status {
					b.Fatalf("status %d, want %d", w.status, row.status)
				}
			}
		})
	}
}

// answering is an order service that costs next to nothing.
type answering struct{}

func (answering) RoundTrip(r *http.Request) (*http.Response, error) {
	const body = `{"order_id":"7","status":"PENDING"}`
	return &http.Response{
		StatusCode: http.StatusAccepted, Header: http.Header{"Content-Type": {"application/json"}, "Location": {"/orders/7"}},
		Body: io.NopCloser(bytes.NewReader([]byte(body))), ContentLength: int64(len(body)), Request: r,
	}, nil
}

// nowhere is a client that keeps nothing but the status.
type nowhere struct {
	header http.Header
	status int
}

func (w *nowhere) Header() http.Header         { return w.header }
func (w *nowhere) WriteHeader(status int)      { w.status = status }
func (w *nowhere) Write(b []byte) (int, error) { return len(b), nil }

package telemetry

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// A batch of 32 messages, as a consumer gets them.
func BenchmarkProcess(b *testing.B) {
	t := benchTracer(b)
	d := Delivery{Topic: "orders-topic", Partition: 12, Offset: 123456, Event: "order.created",
		OrderID: "01a20401-809c-7cb9-a7eb-625f43bc8b1d", Traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
	b.ReportAllocs()
	for b.Loop() {
		work := t.Process("inventory-group")
		for range 32 {
			work.Take(d)
		}
		work.End(nil)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/32, "ns/span")
}

func BenchmarkSend(b *testing.B) {
	t := benchTracer(b)
	origins := make([]string, 32)
	for i := range origins {
		origins[i] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	}
	b.ReportAllocs()
	for b.Loop() {
		end := t.Send(b.Context(), "orders-topic", origins)
		end(nil)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/32, "ns/message")
}

func BenchmarkTracedRoute(b *testing.B) {
	t := benchTracer(b)
	m := NewRequests(NewRegistry("order", "order-0")).Traced(t, nil)
	h := m.Route("GET /", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	r := httptest.NewRequest(http.MethodGet, "/", strings.NewReader(""))
	r.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	w := httptest.NewRecorder()
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(w, r)
	}
}

// benchTracer has a collector that takes everything at once.
func benchTracer(b *testing.B) *Tracer {
	b.Helper()
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	b.Cleanup(collector.Close)
	t, err := StartTracer(Tracing{Endpoint: collector.URL, Sample: 1, Packed: true, Spool: b.TempDir()}, "order", "order-0",
		prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = t.Close() })
	return t
}

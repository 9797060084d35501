package telemetry

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ordbench/ordbench/system/telemetry/otlp"
	"github.com/ordbench/ordbench/system/telemetry/spool"
)

// What has begun is kept from its beginning, whatever kind of span it is and
// however long its names are: a kill then tears no tree apart. A span that
// does not fit into its slot is kept only once it has ended.
func TestEachKindOfSpanOutlivesItsProcess(t *testing.T) {
	dir := t.TempDir()
	tracer, err := StartTracer(Tracing{Endpoint: "http://127.0.0.1:1", Sample: 1, Spool: dir}, "notification", "notification-12", nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tracer.Close() }) // nobody takes what it sends
	const origin = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	begun := 0
	for _, topic := range []string{"orders-topic", "inventory-topic", "notification-group.retry", "notification-group.dead"} {
		work := tracer.Process("notification-group")
		work.Take(Delivery{
			Topic: topic, Partition: 999, Offset: 1 << 40, Traceparent: origin,
			Event: "inventory.reserved", OrderID: "01a21af8-9536-7030-b9b4-a9f73c59de11",
		})
		tracer.Send(t.Context(), topic, []string{origin})
		tracer.Send(t.Context(), topic, []string{origin, origin})
		begun += 3
	}
	kept := -1
	look := func() {
		t.Helper()
		kept = interrupted(t, dir)
	}
	answering := NewRequests(NewRegistry("notification", "notification-12")).Traced(tracer, nil).
		Route("POST /transactions/{order}/commit", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			calling := tracer.Transport(tripper(func(*http.Request) (*http.Response, error) {
				look()
				return httptest.NewRecorder().Result(), nil
			}))
			_, err := calling.RoundTrip(httptest.NewRequestWithContext(r.Context(), http.MethodPost, "http://127.0.0.1:65535/"+strings.Repeat("x", 200), nil))
			if err != nil {
				t.Error(err)
			}
		}))
	answering.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/transactions/01a21af8-9536-7030-b9b4-a9f73c59de11/commit", nil))
	if begun += 2; kept != begun {
		t.Errorf("%d of %d spans would outlive a kill", kept, begun)
	}
}

// A request is kept from when others hear of it: before that it has done nothing.
func TestARequestIsKeptOnceOthersKnowOfIt(t *testing.T) {
	dir := t.TempDir()
	tracer, err := StartTracer(Tracing{Endpoint: "http://127.0.0.1:1", Sample: 1, Spool: dir}, "order", "order-0", nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tracer.Close() }) // nobody takes what it sends
	NewRequests(NewRegistry("order", "order-0")).Traced(tracer, nil).
		Route("POST /orders", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if n := interrupted(t, dir); n != 0 {
				t.Errorf("%d spans are kept of a request that nobody knows of", n)
			}
			for range 2 {
				Traceparent(r.Context())
				if n := interrupted(t, dir); n != 1 {
					t.Errorf("%d spans are kept", n)
				}
			}
		})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/orders", nil))
	if n := interrupted(t, dir); n != 0 {
		t.Errorf("%d spans have not ended", n)
	}
}

// interrupted counts the spans that a kill at this moment would leave.
func interrupted(t *testing.T, dir string) (n int) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.spans"))
	if err != nil || len(files) != 1 {
		t.Fatalf("spools %v, %v", files, err)
	}
	left := t.TempDir() // a copy, which nobody has locked
	text, err := os.ReadFile(files[0])
	if err == nil {
		err = os.WriteFile(filepath.Join(left, filepath.Base(files[0])), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	var scanner otlp.Scanner
	err = spool.Recover(left, func(head, spans []byte) error {
		_, err := scanner.Scan(append(head, spans...), func(_ *otlp.Resource, s *otlp.Span) error {
			if s.Int(AttrInterrupted) != 0 {
				n++
			}
			return nil
		})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

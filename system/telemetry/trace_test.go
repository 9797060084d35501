package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/ordbench/ordbench/system/telemetry/otlp"
)

const theirs = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// theirParse reads a traceparent as OpenTelemetry does.
func theirParse(s string) spanContext {
	sc := oteltrace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{"traceparent": s}))
	if !sc.IsValid() {
		return spanContext{}
	}
	return spanContext{trace: otlp.TraceID(sc.TraceID()), id: otlp.SpanID(sc.SpanID()), sampled: sc.IsSampled()}
}

func TestTraceparent(t *testing.T) {
	for _, row := range []struct {
		name, text string
		valid      bool
	}{
		{"sampled", theirs, true},
		{"not sampled", strings.TrimSuffix(theirs, "01") + "00", true},
		{"a later version", "cc" + theirs[2:], true},
		{"a later version with more fields", "cc" + theirs[2:] + "-what", true},
		{"a later version that runs on", "cc" + theirs[2:] + "what", false},
		{"this version with more fields", theirs + "-what", false},
		{"the forbidden version", "ff" + theirs[2:], false},
		{"capitals", strings.ToUpper(theirs), false},
		{"no trace", "00-00000000000000000000000000000000-b7ad6b7169203331-01", false},
		{"no span", "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", false},
		{"no hex", strings.Replace(theirs, "0af", "0ag", 1), false},
		{"dashes elsewhere", strings.ReplaceAll(theirs, "-", "_"), false},
		{"cut off", theirs[:54], false},
		{"nothing", "", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := parseTraceparent(row.text)
			if got.valid() != row.valid || got != theirParse(row.text) {
				t.Errorf("%q: %+v, OpenTelemetry reads %+v", row.text, got, theirParse(row.text))
			}
			if row.valid && row.text[:2] == "00" && got.String() != row.text {
				t.Errorf("written as %q", got)
			}
		})
	}
	if got := (spanContext{}).String(); got != "" {
		t.Errorf("no span is written as %q", got)
	}
}

func FuzzTraceparent(f *testing.F) {
	f.Add(theirs)
	f.Add("01" + theirs[2:] + "-x")
	f.Fuzz(func(t *testing.T, s string) {
		got, want := parseTraceparent(s), theirParse(s)
		if got != want {
			t.Fatalf("%q: %+v, OpenTelemetry reads %+v", s, got, want)
		}
		if got.valid() && parseTraceparent(got.String()) != got {
			t.Fatalf("%q is written as %q", s, got)
		}
	})
}

func TestSampleIsAShareOfTraces(t *testing.T) {
	const n = 20_000
	for _, share := range []float64{0, 0.1, 0.5, 1} {
		kept := 0
		for range n {
			c := child(spanContext{}, share)
			if c.sampled {
				kept++
			}
			if below := child(c, 1-share); below.sampled != c.sampled || below.trace != c.trace || below.id == c.id {
				t.Fatalf("%+v has the child %+v", c, below)
			}
		}
		if got := float64(kept) / n; got < share-0.02 || got > share+0.02 {
			t.Errorf("%g of the traces are sampled, want %g", got, share)
		}
	}
}

// seen is a span as a test looks at it.
type seen struct {
	Name       string
	Kind       otlp.Kind
	Trace      string
	ID, Parent string
	Failed     bool
	Texts      map[string]string
	Links      int
}

// watched is a tracer and what a collector gets of it.
type watched struct {
	*Tracer
	mu    sync.Mutex
	spans []seen
}

func watch(t *testing.T, sample float64) *watched {
	t.Helper()
	w := &watched{}
	collector := httptest.NewServer(otlp.Receiver{Take: w.take}.Handler())
	t.Cleanup(collector.Close)
	var err error
	w.Tracer, err = StartTracer(Tracing{Endpoint: collector.URL, Sample: sample, Spool: t.TempDir()}, "order", "order-0", prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return w
}

func (w *watched) take(request []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var scanner otlp.Scanner
	return scanner.Scan(request, func(r *otlp.Resource, s *otlp.Span) error {
		if string(r.Text(string(semconv.ServiceNameKey))) != "order" || string(r.Text(string(semconv.ServiceInstanceIDKey))) != "order-0" {
			return errors.New("the resource is not the replica")
		}
		if s.End < s.Start {
			return errors.New("a span ends before it starts")
		}
		one := seen{Name: string(s.Name), Kind: s.Kind, Trace: string(s.TraceID[:]), ID: string(s.ID[:]), Parent: string(s.Parent[:]),
			Failed: s.Status == otlp.StatusError, Texts: map[string]string{}, Links: len(s.Links)}
		for _, a := range s.Attributes {
			one.Texts[string(a.Key)] = string(a.Text)
		}
		w.spans = append(w.spans, one)
		return nil
	})
}

// all closes the tracer, which sends what is left.
func (w *watched) all(t *testing.T) []seen {
	t.Helper()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return w.spans
}

func (c spanContext) names(s seen) bool {
	return string(c.trace[:]) == s.Trace && string(c.id[:]) == s.ID
}

func TestRequestIsTracedAcrossServices(t *testing.T) {
	w := watch(t, 1)
	var inside spanContext
	routes := NewRequests(prometheus.NewRegistry()).Traced(w.Tracer, nil)
	backend := httptest.NewServer(routes.Route("POST /orders", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		inside = parseTraceparent(Traceparent(r.Context()))
		Annotate(r.Context(), "order-1", true)
		rw.WriteHeader(http.StatusServiceUnavailable)
	})))
	defer backend.Close()
	client := &http.Client{Transport: w.Transport(http.DefaultTransport)}
	front := routes.Route("POST /orders", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		req, err := http.NewRequestWithContext(r.Context(), http.MethodPost, backend.URL+"/orders?x=1", nil)
		if err != nil {
			t.Error(err)
			return
		}
		res, err := client.Do(req)
		if err != nil {
			t.Error(err)
			return
		}
		res.Body.Close()
		if req.Header.Get("Traceparent") != "" {
			t.Error("the caller's header was changed")
		}
		rw.WriteHeader(http.StatusAccepted)
	}))
	req := httptest.NewRequest(http.MethodPost, "/orders", nil)
	req.Header.Set("Traceparent", theirs)
	front.ServeHTTP(httptest.NewRecorder(), req)

	spans := w.all(t)
	if len(spans) != 3 {
		t.Fatalf("%d spans: %+v", len(spans), spans)
	}
	server, call, root := spans[0], spans[1], spans[2]
	if !inside.names(server) || server.Parent != call.ID || call.Parent != root.ID || root.Parent != string(parseTraceparentID(theirs)) {
		t.Errorf("the spans are not a chain: %+v", spans)
	}
	if server.Kind != otlp.Server || call.Kind != otlp.Client || root.Kind != otlp.Server {
		t.Errorf("kinds %d, %d, %d", server.Kind, call.Kind, root.Kind)
	}
	if !server.Failed || !call.Failed || root.Failed {
		t.Errorf("a 503 failed %t at the server and %t at the client; a 202 failed %t", server.Failed, call.Failed, root.Failed)
	}
	if server.Texts[AttrOrder] != "order-1" || server.Texts["http.route"] != "/orders" || server.Texts["error.type"] != "503" || call.Texts["http.request.method"] != "POST" {
		t.Errorf("attributes %v, %v", server.Texts, call.Texts)
	}
	if _, replayed := server.Texts[AttrReplayed]; !replayed {
		t.Error("it is not said to be a replay")
	}
}

func parseTraceparentID(s string) []byte {
	c := parseTraceparent(s)
	return c.id[:]
}

func TestStrangersTraceIsNotContinued(t *testing.T) {
	w := watch(t, 1)
	h := NewRequests(prometheus.NewRegistry()).Traced(w.Tracer, func(*http.Request) bool { return false }).
		Route("GET /stock/{sku}", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	req := httptest.NewRequest(http.MethodGet, "/stock/1", nil)
	req.Header.Set("Traceparent", theirs)
	h.ServeHTTP(httptest.NewRecorder(), req)
	spans := w.all(t)
	if len(spans) != 1 || spans[0].Parent != strings.Repeat("\x00", 8) || strings.HasPrefix(spans[0].Trace, "\x0a\xf7") {
		t.Errorf("%+v", spans)
	}
}

func TestFailedCallEndsItsSpan(t *testing.T) {
	w := watch(t, 1)
	broken := errors.New("reset by peer")
	client := &http.Client{Transport: w.Transport(tripper(func(*http.Request) (*http.Response, error) { return nil, broken }))}
	if _, err := client.Get("http://127.0.0.1:1/orders"); !errors.Is(err, broken) {
		t.Error(err)
	}
	spans := w.all(t)
	if len(spans) != 1 || !spans[0].Failed || spans[0].Texts["server.address"] != "127.0.0.1" {
		t.Errorf("%+v", spans)
	}
}

type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestMessagesOfABatchKeepTheirTraces(t *testing.T) {
	w := watch(t, 1)
	work := w.Process("inventory-group")
	writer := child(spanContext{}, 1)
	first := work.Take(Delivery{Topic: "orders-topic", Partition: 3, Offset: 9, Traceparent: writer.String(), Event: "order.created", OrderID: "o1"})
	second := work.Take(Delivery{Topic: "payment-topic", Traceparent: theirs, Event: "payment.captured", OrderID: "o2"})
	orphan := work.Take(Delivery{Topic: "payment-topic", Event: "payment.captured", OrderID: "o3"})
	work.End(errors.New("disk is full"))
	w.Send(t.Context(), "inventory-topic", []string{first, second, ""})(nil)
	w.Send(t.Context(), "inventory-topic", []string{first})(nil)
	w.Send(t.Context(), "inventory-topic", []string{"", ""})(nil)

	spans := w.all(t)
	if len(spans) != 5 {
		t.Fatalf("%d spans: %+v", len(spans), spans)
	}
	for i, text := range []string{first, second, orphan} {
		if !parseTraceparent(text).names(spans[i]) || spans[i].Kind != otlp.Consumer || !spans[i].Failed {
			t.Errorf("%s is %+v", text, spans[i])
		}
	}
	if spans[0].Parent != string(writer.id[:]) || spans[0].Trace != string(writer.trace[:]) {
		t.Errorf("%+v is no child of its writer", spans[0])
	}
	want := map[string]string{
		"messaging.system": "kafka", "messaging.operation.type": "process", "messaging.operation.name": "process",
		"messaging.destination.name": "orders-topic", "messaging.destination.partition.id": "3", "messaging.kafka.offset": "",
		"messaging.consumer.group.name": "inventory-group", AttrOrder: "o1", AttrEvent: "order.created",
	}
	if diff := cmp.Diff(want, spans[0].Texts); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
	batch, single := spans[3], spans[4]
	if batch.Kind != otlp.Producer || batch.Links != 2 || batch.Parent != strings.Repeat("\x00", 8) || batch.Failed {
		t.Errorf("the batch is %+v", batch)
	}
	if single.Links != 0 || single.Parent != spans[0].ID || single.Trace != spans[0].Trace {
		t.Errorf("the single message is %+v", single)
	}
}

func TestWithoutATracerTracesArePassedOn(t *testing.T) {
	var off *Tracer
	work := off.Process("g")
	if got := work.Take(Delivery{Traceparent: theirs}); got != theirs {
		t.Errorf("taken as %q", got)
	}
	work.End(nil)
	off.Send(t.Context(), "t", []string{theirs})(nil)
	if off.Transport(http.DefaultTransport) != http.DefaultTransport {
		t.Error("calls are wrapped")
	}
	h := NewRequests(prometheus.NewRegistry()).Traced(off, nil).Route("GET /", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		Annotate(r.Context(), "o", false)
		if Traceparent(r.Context()) != "" {
			t.Error("there is a span")
		}
	}))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
	if err := off.Close(); err != nil {
		t.Error(err)
	}
}

func TestUnsampledTraceHasNoSpansAndStaysUnsampled(t *testing.T) {
	w := watch(t, 0)
	h := NewRequests(prometheus.NewRegistry()).Traced(w.Tracer, nil).Route("POST /orders", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		Annotate(r.Context(), "o", false)
		text := Traceparent(r.Context())
		if c := parseTraceparent(text); !c.valid() || c.sampled {
			t.Errorf("passed on as %q", text)
		}
		work := w.Process("g")
		if c := parseTraceparent(work.Take(Delivery{Traceparent: text})); c.sampled || c.trace != parseTraceparent(text).trace {
			t.Errorf("%q became %+v", text, c)
		}
		work.End(nil)
		w.Send(r.Context(), "t", []string{text})(nil)
		w.Send(r.Context(), "t", []string{text, text})(nil)
	}))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/orders", nil))
	if spans := w.all(t); len(spans) != 0 {
		t.Errorf("%+v", spans)
	}
}

func TestLogLinesOfTracedWorkNameTheTrace(t *testing.T) {
	var out bytes.Buffer
	log := NewLogger(&out, "order", "order-0").With("a", 1)
	log.InfoContext(Continue(t.Context(), theirs), "traced")
	log.InfoContext(Continue(t.Context(), "nonsense"), "not traced")
	lines := strings.SplitAfter(out.String(), "\n")
	var first, second map[string]any
	if err := errors.Join(json.Unmarshal([]byte(lines[0]), &first), json.Unmarshal([]byte(lines[1]), &second)); err != nil {
		t.Fatal(err)
	}
	if first["trace_id"] != "0af7651916cd43dd8448eb211c80319c" || first["span_id"] != "b7ad6b7169203331" {
		t.Errorf("%v", first)
	}
	if _, has := second["trace_id"]; has {
		t.Errorf("%v", second)
	}
}

func TestTracingSaysWhatIsWrong(t *testing.T) {
	for _, bad := range []Tracing{{Endpoint: "localhost:4318"}, {Endpoint: "http://"}, {Endpoint: "http://a", Sample: 2}, {Endpoint: "http://a", Sample: -1}} {
		if _, err := StartTracer(bad, "order", "order-0", nil, nil); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
	if err := (Tracing{}).Validate(); err != nil {
		t.Error(err)
	}
}

package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/ordbench/ordbench/system/telemetry/spool"
)

// What the services say of a span beside the semantic conventions, which are
// those of version 1.43.0.
const (
	// AttrOrder is the id of the order that a span is about.
	AttrOrder = "ordbench.order.id"
	// AttrReplayed is true where a known Idempotency-Key brought back an
	// order that an earlier trace is about.
	AttrReplayed = "ordbench.order.replayed"
	// AttrEvent is the type of the event that a span works on.
	AttrEvent = "ordbench.event.type"
	// AttrInterrupted is true where a process was gone before its span had
	// ended.
	AttrInterrupted = spool.Interrupted
)

// Tracing says where the spans of a component go.
type Tracing struct {
	Endpoint string  `json:"endpoint"` // URL of an OTLP collector, http://host:port; "": no spans
	Sample   float64 `json:"sample"`   // share of the traces that begin here, 0 to 1
	Spool    string  `json:"spool"`    // directory for spans on their way, so that a kill loses none; "": memory
}

// Validate says what is wrong with t.
func (t Tracing) Validate() error {
	if t.Endpoint == "" {
		return nil
	}
	var problems []error
	if u, err := url.Parse(t.Endpoint); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		problems = append(problems, fmt.Errorf("tracing endpoint %q is no URL such as http://127.0.0.1:4318", t.Endpoint))
	}
	if t.Sample < 0 || t.Sample > 1 {
		problems = append(problems, fmt.Errorf("tracing sample is no share: %g", t.Sample))
	}
	return errors.Join(problems...)
}

// Tracer makes the spans of one process. A nil Tracer makes none, and costs
// next to nothing.
type Tracer struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
	exporter *exporter
}

// w3c carries traces as W3C Trace Context does.
var w3c propagation.TraceContext

// StartTracer makes the tracer of a replica and sends its spans until it is
// closed. It is nil where tracing is off.
func StartTracer(cfg Tracing, component, replica string, reg prometheus.Registerer, log *slog.Logger) (*Tracer, error) {
	if cfg.Endpoint == "" {
		return nil, nil
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	who := []attribute.KeyValue{
		semconv.ServiceNamespace("ordbench"),
		semconv.ServiceName(component),
		semconv.ServiceInstanceID(replica),
	}
	box, err := spool.Open(cfg.Spool, replica, encodeResource(who))
	if err != nil {
		return nil, err
	}
	limits := sdktrace.NewSpanLimits()
	limits.LinkCountLimit = -1 // a batch has a link for each message
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithResource(resource.NewWithAttributes(semconv.SchemaURL, who...)),
		sdktrace.WithSampler(sdktrace.ParentBased(linked{sdktrace.TraceIDRatioBased(cfg.Sample)})),
		sdktrace.WithRawSpanLimits(limits),
		sdktrace.WithSpanProcessor(recorder{box}),
	)
	return &Tracer{
		provider: provider,
		tracer:   provider.Tracer("github.com/ordbench/ordbench/system/telemetry"),
		exporter: startExporter(cfg, box, reg, log),
	}, nil
}

// linked is a sampler that follows links where there are some: what is done
// for many traces at once is of interest if one of them is.
type linked struct{ sdktrace.Sampler }

func (l linked) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	if len(p.Links) > 0 {
		return sdktrace.AlwaysSample().ShouldSample(p)
	}
	return l.Sampler.ShouldSample(p)
}

// flushWithin bounds the last export of a process.
const flushWithin = 2 * time.Second

// Close sends what has ended, for a moment, and gives everything back. What
// the collector does not take in time stays in the spool.
func (t *Tracer) Close() error {
	if t == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), flushWithin)
	defer cancel()
	t.exporter.stop(ctx)
	return errors.Join(t.provider.Shutdown(ctx), t.exporter.box.Close())
}

// Traceparent is the span of ctx as W3C Trace Context writes it, "" if there
// is none.
func Traceparent(ctx context.Context) string { return traceparent(trace.SpanContextFromContext(ctx)) }

func traceparent(sc trace.SpanContext) string {
	if !sc.IsValid() {
		return ""
	}
	const hex = "0123456789abcdef"
	traceID, spanID := sc.TraceID(), sc.SpanID()
	b := make([]byte, 0, len("00-")+2*len(traceID)+1+2*len(spanID)+len("-01"))
	b = append(b, "00-"...)
	for _, c := range traceID {
		b = append(b, hex[c>>4], hex[c&15])
	}
	b = append(b, '-')
	for _, c := range spanID {
		b = append(b, hex[c>>4], hex[c&15])
	}
	if sc.IsSampled() {
		return string(append(b, "-01"...))
	}
	return string(append(b, "-00"...))
}

// remote is ctx with the span that a traceparent names; ctx itself if it
// names none.
func remote(ctx context.Context, traceparent string) context.Context {
	if traceparent == "" {
		return ctx
	}
	return w3c.Extract(ctx, propagation.MapCarrier{"traceparent": traceparent})
}

// Continue is ctx within the span that a traceparent names, for what is
// logged of a message whose span has not begun.
func Continue(ctx context.Context, traceparent string) context.Context {
	return remote(ctx, traceparent)
}

// Annotate says on the span of ctx which order it is about. A replay is a
// request that brought back what an earlier one had placed.
func Annotate(ctx context.Context, orderID string, replay bool) {
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(attribute.String(AttrOrder, orderID))
	if replay {
		span.SetAttributes(attribute.Bool(AttrReplayed, true))
	}
}

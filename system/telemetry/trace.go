package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/ordbench/ordbench/system/telemetry/otlp"
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
	Packed   bool    `json:"packed"`   // the collector is ordbench, which takes spans as the spool has them
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
//
// It is not the SDK of OpenTelemetry: that takes 4 us and eleven allocations
// for a span, which is more than all of tracing may cost. Here a span is
// a record in the spool from when it begins, and becomes OTLP when it is sent, or
// read. What spans have in common is encoded once.
type Tracer struct {
	sample   float64
	box      *spool.Spool
	exporter *exporter

	benches sync.Pool // of *bench

	mu    sync.Mutex
	sorts map[sort]common
}

// sort is what spans must agree in to have all of their common part in common.
type sort struct {
	kind  otlp.Kind
	of    string // group of a consumer, method of a client
	to    string // topic, or host
	event string // of a consumer
}

// common is what spans of one sort have in common.
type common struct {
	template spool.Template
	inline   []byte // instead, as a span's own, where there is no room for a template
}

// inline is what spans have in common without a template.
func inline(fields []byte) common { return common{inline: spool.AppendFields(nil, fields)} }

// mostSorts bounds the sorts that are remembered: hosts and events are for
// others to name.
const mostSorts = 4096

// common finds what spans of a sort have in common, or makes it.
func (t *Tracer) common(of sort, name string, attributes func([]byte) []byte) common {
	t.mu.Lock()
	defer t.mu.Unlock()
	c, known := t.sorts[of]
	if !known {
		c = t.makeCommon(name, of.kind, attributes)
		if len(t.sorts) < mostSorts {
			t.sorts[of] = c
		}
	}
	return c
}

// makeCommon makes what spans of a sort have in common, to be made once.
func (t *Tracer) makeCommon(name string, kind otlp.Kind, attributes func([]byte) []byte) common {
	b := attributes(otlp.AppendName(nil, name, kind))
	if template, ok := t.box.Template(b); ok {
		return common{template: template}
	}
	return inline(b)
}

// record is what is known of a span when it begins.
func record(own, parent spanContext, start uint64, c common) spool.Record {
	return spool.Record{TraceID: own.trace, ID: own.id, Parent: parent.id, Start: start, Template: c.template}
}

// StartTracer makes the tracer of a replica and sends its spans until it is
// closed. It is nil where tracing is off.
func StartTracer(cfg Tracing, component, replica string, reg prometheus.Registerer, log *slog.Logger) (*Tracer, error) {
	if cfg.Endpoint == "" {
		return nil, nil
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	var who []byte
	for _, a := range []attribute.KeyValue{
		semconv.ServiceNamespace("ordbench"), semconv.ServiceName(component), semconv.ServiceInstanceID(replica),
	} {
		who = otlp.AppendText(who, otlp.OfResource, string(a.Key), a.Value.AsString())
	}
	box, err := spool.Open(cfg.Spool, replica, who, ownKeys)
	if err != nil {
		return nil, err
	}
	return &Tracer{sample: cfg.Sample, box: box, exporter: startExporter(cfg, box, reg, log), sorts: map[sort]common{}}, nil
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
	return t.box.Close()
}

func nanos(t time.Time) uint64 { return uint64(t.UnixNano()) }

// withText and withInt append attributes of a span to what it has in common with
// others.
func withText(b []byte, key attribute.Key, value string) []byte {
	return otlp.AppendText(b, otlp.OfSpan, string(key), value)
}

func withInt(b []byte, key attribute.Key, value int64) []byte {
	return otlp.AppendInt(b, otlp.OfSpan, string(key), value)
}

// The keys of what a span has of its own.
const (
	ownOrder spool.Key = 1 + iota
	ownReplayed
	ownPath
	ownURL
	ownStatus
	ownError
	ownPartition
	ownOffset
	ownMessages
)

// ownKeys are their names.
var ownKeys = []string{
	ownOrder - 1:     AttrOrder,
	ownReplayed - 1:  AttrReplayed,
	ownPath - 1:      string(semconv.URLPathKey),
	ownURL - 1:       string(semconv.URLFullKey),
	ownStatus - 1:    string(semconv.HTTPResponseStatusCodeKey),
	ownError - 1:     string(semconv.ErrorTypeKey),
	ownPartition - 1: string(semconv.MessagingDestinationPartitionIDKey),
	ownOffset - 1:    string(semconv.MessagingKafkaOffsetKey),
	ownMessages - 1:  string(semconv.MessagingBatchMessageCountKey),
}

// ownFailure appends the status that an error gives a span.
func ownFailure(own []byte, err error) []byte {
	if err == nil {
		return own
	}
	return spool.AppendFields(own, otlp.AppendStatus(nil, otlp.StatusError, err.Error()))
}

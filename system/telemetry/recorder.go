package telemetry

import (
	"context"
	"math"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/ordbench/ordbench/system/telemetry/otlp"
	"github.com/ordbench/ordbench/system/telemetry/spool"
)

// recorder is the span processor that writes spans into the spool, in the
// encoding in which they are sent: what begins, so that a kill leaves it
// behind, and what has ended.
type recorder struct{ box *spool.Spool }

var scratch = sync.Pool{New: func() any { b := make([]byte, 0, 1024); return &b }}

func (r recorder) OnStart(_ context.Context, s sdktrace.ReadWriteSpan) {
	buf := scratch.Get().(*[]byte)
	b := appendBegun((*buf)[:0], s)
	sc := s.SpanContext()
	r.box.Begin(otlp.SpanID(sc.SpanID()), uint64(s.StartTime().UnixNano()), b)
	*buf = b
	scratch.Put(buf)
}

func (r recorder) OnEnd(s sdktrace.ReadOnlySpan) {
	buf := scratch.Get().(*[]byte)
	b := appendBegun((*buf)[:0], s)
	for _, l := range s.Links() {
		b = otlp.AppendLink(b, otlp.Link{TraceID: otlp.TraceID(l.SpanContext.TraceID()), ID: otlp.SpanID(l.SpanContext.SpanID())})
	}
	end, status := uint64(s.EndTime().UnixNano()), s.Status()
	code := int32(0)
	if status.Code == codes.Error {
		code = otlp.StatusError
	}
	b = otlp.AppendEnd(b, end, code, status.Description)
	sc := s.SpanContext()
	r.box.Finish(otlp.SpanID(sc.SpanID()), end, b)
	*buf = b
	scratch.Put(buf)
}

func (recorder) Shutdown(context.Context) error   { return nil }
func (recorder) ForceFlush(context.Context) error { return nil }

// appendBegun appends what a span has from its start, and the attributes that
// it has by now.
func appendBegun(b []byte, s sdktrace.ReadOnlySpan) []byte {
	sc, parent := s.SpanContext(), s.Parent()
	b = otlp.AppendStart(b, otlp.TraceID(sc.TraceID()), otlp.SpanID(sc.SpanID()), otlp.SpanID(parent.SpanID()),
		s.Name(), kinds[s.SpanKind()], uint64(s.StartTime().UnixNano()))
	for _, a := range s.Attributes() {
		b = appendAttribute(b, otlp.OfSpan, a)
	}
	return b
}

var kinds = map[trace.SpanKind]otlp.Kind{
	trace.SpanKindInternal: otlp.Internal,
	trace.SpanKindServer:   otlp.Server,
	trace.SpanKindClient:   otlp.Client,
	trace.SpanKindProducer: otlp.Producer,
	trace.SpanKindConsumer: otlp.Consumer,
}

func appendAttribute(b []byte, of protowire.Number, a attribute.KeyValue) []byte {
	key := string(a.Key)
	switch a.Value.Type() {
	case attribute.BOOL:
		return otlp.AppendBool(b, of, key, a.Value.AsBool())
	case attribute.INT64:
		return otlp.AppendInt(b, of, key, a.Value.AsInt64())
	case attribute.FLOAT64:
		return otlp.AppendDouble(b, of, key, math.Float64bits(a.Value.AsFloat64()))
	default:
		return otlp.AppendText(b, of, key, a.Value.String())
	}
}

func encodeResource(attributes []attribute.KeyValue) []byte {
	var b []byte
	for _, a := range attributes {
		b = appendAttribute(b, otlp.OfResource, a)
	}
	return b
}

package telemetry

import (
	"context"
	"strconv"
	"sync"
	"time"

	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/ordbench/ordbench/system/telemetry/otlp"
	"github.com/ordbench/ordbench/system/telemetry/spool"
)

// messaging is what every span of a message says.
func messaging(b []byte, operation, topic string) []byte {
	b = withText(b, semconv.MessagingSystemKey, "kafka")
	b = withText(b, semconv.MessagingOperationTypeKey, operation)
	b = withText(b, semconv.MessagingOperationNameKey, operation)
	return withText(b, semconv.MessagingDestinationNameKey, topic)
}

// Send begins the span of a publish of messages to a topic; origins are the
// traceparents of the spans that wrote them, "" for those that come from
// none. A single message's span is the child of the span that wrote it; that
// of a batch is a trace of its own, linked to all of them. Call end with what
// became of it.
func (t *Tracer) Send(_ context.Context, topic string, origins []string) (end func(error)) {
	if t == nil {
		return func(error) {}
	}
	var own, parent spanContext
	var links []otlp.Link
	if len(origins) == 1 {
		parent = parseTraceparent(origins[0])
	} else {
		links = make([]otlp.Link, 0, len(origins))
		for _, origin := range origins {
			if c := parseTraceparent(origin); c.sampled {
				links = append(links, otlp.Link{TraceID: c.trace, ID: c.id})
			}
		}
	}
	// Of a trace of its own only the links are of interest.
	if own = child(parent, 1); !own.sampled || !parent.valid() && len(links) == 0 {
		return func(error) {}
	}
	buf := scratch.Get().(*[]byte)
	start := nanos(time.Now())
	c := t.common(sort{kind: otlp.Producer, to: topic}, "send "+topic, func(b []byte) []byte { return messaging(b, "send", topic) })
	b := otlp.AppendStart((*buf)[:0], own.trace, own.id, parent.id, start)
	b = append(b, c.inline...)
	b = withInt(b, semconv.MessagingBatchMessageCountKey, int64(len(origins)))
	slot := t.box.Begin(start, c.template, b)
	for _, l := range links {
		b = otlp.AppendLink(b, l)
	}
	return func(err error) {
		stop := nanos(time.Now())
		status, message := failure(err)
		b = otlp.AppendEnd(b, stop, status, message)
		t.box.Finish(stop, nil, spool.Begun{Slot: slot, Template: c.template, Span: b})
		*buf = b
		scratch.Put(buf)
	}
}

// Process collects the spans of a batch of messages that a consumer group
// works on together. A nil Process collects none.
type Process struct {
	tracer *Tracer
	group  string
	start  uint64
	last   sort // of common
	common common
	*bench
}

// bench is the memory that the work on a batch takes; batches share it.
type bench struct {
	buf   []byte
	spans []begun
	ended []spool.Begun
}

var benches = sync.Pool{New: func() any { return &bench{} }}

// begun is a span of a batch: its part of the buffer, its slot and its template.
type begun struct {
	from, to, slot int
	template       spool.Template
}

// Process begins the work of a group on a batch.
func (t *Tracer) Process(group string) *Process {
	if t == nil {
		return nil
	}
	return &Process{tracer: t, group: group, start: nanos(time.Now()), bench: benches.Get().(*bench)}
}

// Delivery is a message as a consumer got it, and what it says.
type Delivery struct {
	Topic       string
	Partition   int
	Offset      int64
	Traceparent string // of the span that wrote it
	Event       string // type
	OrderID     string
}

// Take begins the span of one message, and returns its traceparent for what
// the work on it promises to publish. Without a Process that is the message's
// own, so that a consumer that is not traced does not tear a trace apart.
func (p *Process) Take(d Delivery) (traceparent string) {
	if p == nil {
		return d.Traceparent
	}
	parent := parseTraceparent(d.Traceparent)
	own := child(parent, p.tracer.sample)
	if !own.sampled {
		return own.String()
	}
	if of := (sort{otlp.Consumer, p.group, d.Topic, d.Event, d.Partition}); p.last != of {
		p.last = of
		p.common = p.tracer.common(of, "process "+d.Topic, func(b []byte) []byte {
			b = withText(b, AttrEvent, d.Event)
			b = withText(b, semconv.MessagingConsumerGroupNameKey, p.group)
			b = messaging(b, "process", d.Topic)
			return withText(b, semconv.MessagingDestinationPartitionIDKey, strconv.Itoa(d.Partition))
		})
	}
	from := len(p.buf)
	b := otlp.AppendStart(p.buf, own.trace, own.id, parent.id, p.start)
	b = append(b, p.common.inline...)
	b = withText(b, AttrOrder, d.OrderID)
	b = withInt(b, semconv.MessagingKafkaOffsetKey, d.Offset)
	p.buf = b
	p.spans = append(p.spans, begun{from, len(b), p.tracer.box.Begin(p.start, p.common.template, b[from:]), p.common.template})
	return own.String()
}

// End ends the spans of the batch, with what became of it.
func (p *Process) End(err error) {
	if p == nil {
		return
	}
	stop := nanos(time.Now())
	status, message := failure(err)
	for _, s := range p.spans {
		p.ended = append(p.ended, spool.Begun{Slot: s.slot, Template: s.template, Span: p.buf[s.from:s.to]})
	}
	p.tracer.box.Finish(stop, otlp.AppendEnd(nil, stop, status, message), p.ended...)
	p.buf, p.spans, p.ended = p.buf[:0], p.spans[:0], p.ended[:0]
	benches.Put(p.bench)
	p.bench = nil
}

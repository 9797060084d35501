package telemetry

import (
	"context"
	"strconv"
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
	if !t.on() {
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
	c := t.common(sort{kind: otlp.Producer, to: topic}, "send "+topic, func(b []byte) []byte { return messaging(b, "send", topic) })
	work := t.bench()
	work.own = spool.AppendInt(append(work.own, c.inline...), ownMessages, int64(len(origins)))
	work.begin(t, spool.Span{Record: record(own, parent, nanos(time.Now()), c), Own: work.own})
	var link [64]byte
	for _, l := range links {
		work.own = spool.AppendFields(work.own, otlp.AppendLink(link[:0], l))
	}
	return func(err error) {
		work.own = ownFailure(work.own, err)
		work.spans[0].Own = work.own
		t.box.Finish(nanos(time.Now()), nil, work.spans)
		t.put(work)
	}
}

// bench is the memory for spans that end together; others get it after them.
type bench struct {
	spans []spool.Span
	own   []byte // what the spans have of their own

	sort   sort // of the latest that a Process took
	common common
}

func (t *Tracer) bench() *bench {
	if w, ok := t.benches.Get().(*bench); ok {
		return w
	}
	return &bench{}
}

func (t *Tracer) put(w *bench) {
	w.spans, w.own = w.spans[:0], w.own[:0]
	t.benches.Put(w)
}

// begin begins a span.
func (w *bench) begin(t *Tracer, span spool.Span) {
	w.spans = append(w.spans, span)
	t.box.Begin(&w.spans[len(w.spans)-1])
}

// Process collects the spans of a batch of messages that a consumer group
// works on together. A nil Process collects none.
type Process struct {
	tracer *Tracer
	group  string
	start  uint64
	*bench
}

// Process begins the work of a group on a batch.
func (t *Tracer) Process(group string) *Process {
	if !t.on() {
		return nil
	}
	return &Process{tracer: t, group: group, start: nanos(time.Now()), bench: t.bench()}
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
	if of := (sort{otlp.Consumer, p.group, d.Topic, d.Event}); p.sort != of {
		p.sort = of
		p.common = p.tracer.common(of, "process "+d.Topic, func(b []byte) []byte {
			b = withText(b, AttrEvent, d.Event)
			b = withText(b, semconv.MessagingConsumerGroupNameKey, p.group)
			return messaging(b, "process", d.Topic)
		})
	}
	from := len(p.own)
	p.own = append(p.own, p.common.inline...)
	p.own = spool.AppendText(p.own, ownOrder, d.OrderID)
	p.own = spool.AppendText(p.own, ownPartition, strconv.Itoa(d.Partition))
	p.own = spool.AppendInt(p.own, ownOffset, d.Offset)
	p.begin(p.tracer, spool.Span{Record: record(own, parent, p.start, p.common), Own: p.own[from:]})
	return own.String()
}

// End ends the spans of the batch, with what became of it.
func (p *Process) End(err error) {
	if p == nil {
		return
	}
	p.tracer.box.Finish(nanos(time.Now()), ownFailure(nil, err), p.spans)
	p.tracer.put(p.bench)
	p.bench = nil
}

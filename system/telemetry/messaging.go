package telemetry

import (
	"context"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// Send begins the span of a publish of messages to a topic; origins are the
// traceparents of the spans that wrote them, "" for those that come from
// none. A single message's span is the child of the span that wrote it; that
// of a batch is a trace of its own, linked to all of them. Call end with what
// became of it.
func (t *Tracer) Send(ctx context.Context, topic string, origins []string) (end func(error)) {
	if t == nil {
		return func(error) {}
	}
	options := []trace.SpanStartOption{
		trace.WithSpanKind(trace.SpanKindProducer),
		trace.WithAttributes(
			semconv.MessagingSystemKafka, semconv.MessagingOperationTypeSend, semconv.MessagingOperationName("send"),
			semconv.MessagingDestinationName(topic), semconv.MessagingBatchMessageCount(len(origins)),
		),
	}
	if len(origins) == 1 {
		ctx = remote(ctx, origins[0])
	} else {
		var links []trace.Link
		for _, origin := range origins {
			if sc := trace.SpanContextFromContext(remote(context.Background(), origin)); sc.IsSampled() {
				links = append(links, trace.Link{SpanContext: sc})
			}
		}
		if len(links) == 0 {
			return func(error) {}
		}
		options = append(options, trace.WithLinks(links...), trace.WithNewRoot())
	}
	_, span := t.tracer.Start(ctx, "send "+topic, options...)
	return func(err error) { finish(span, err) }
}

func finish(span trace.Span, err error) {
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
	}
	span.End()
}

// Process collects the spans of a batch of messages that a consumer group
// works on together. A nil Process collects none.
type Process struct {
	tracer *Tracer
	group  string
	spans  []trace.Span
}

// Process begins the work of a group on a batch.
func (t *Tracer) Process(group string) *Process {
	if t == nil {
		return nil
	}
	return &Process{tracer: t, group: group}
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
	ctx, span := p.tracer.tracer.Start(remote(context.Background(), d.Traceparent), "process "+d.Topic,
		trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithAttributes(
			attribute.String(AttrOrder, d.OrderID),
			attribute.String(AttrEvent, d.Event),
			semconv.MessagingConsumerGroupName(p.group),
			semconv.MessagingSystemKafka, semconv.MessagingOperationTypeProcess, semconv.MessagingOperationName("process"),
			semconv.MessagingDestinationName(d.Topic),
			semconv.MessagingDestinationPartitionID(strconv.Itoa(d.Partition)),
			semconv.MessagingKafkaOffset(int(d.Offset)),
		))
	p.spans = append(p.spans, span)
	return Traceparent(ctx)
}

// End ends the spans of the batch, with what became of it.
func (p *Process) End(err error) {
	if p == nil {
		return
	}
	for _, span := range p.spans {
		finish(span, err)
	}
	p.spans = nil
}

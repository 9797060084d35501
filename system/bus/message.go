// Package bus moves messages between services over the Kafka protocol:
// NewPublisher and Publish to write, Consume to read as a member of a group,
// RunRelay to publish an outbox, LagReader to see how far a group is behind,
// ReadTopic to audit a topic.
//
// The invariant: Publish returns nil only when every message is acknowledged,
// and an offset is committed only after the handler returned nil for all
// messages below it. So nothing is lost, and whatever a crash repeats is the
// inbox's business.
package bus

import "time"

// Message is one record of a topic. A publisher sets Topic, Key, Value
// and Headers.
type Message struct {
	Topic     string
	Partition int
	Offset    int64
	Key       string
	Value     []byte
	Headers   []Header
	Time      time.Time // as the broker holds it; zero when published means now
}

// Header is one header of a message. A message that is sent on, to be tried
// again or laid aside, keeps those that it came with: the trace goes on in
// them.
type Header struct{ Key, Value string }

// Header is the value of the first header of that name, "" if there is none.
func (m Message) Header(key string) string {
	for _, h := range m.Headers {
		if h.Key == key {
			return h.Value
		}
	}
	return ""
}

// Traceparent is the header that names the span a message comes from, as W3C
// Trace Context writes it.
const Traceparent = "traceparent"

// Traced are the headers of a message that comes from a span; nil if it comes
// from none.
func Traced(traceparent string) []Header {
	if traceparent == "" {
		return nil
	}
	return []Header{{Key: Traceparent, Value: traceparent}}
}

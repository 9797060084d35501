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

// Message is one record of a topic. A publisher sets Topic, Key, Value.
type Message struct {
	Topic     string
	Partition int
	Offset    int64
	Key       string
	Value     []byte
	Time      time.Time // as the broker holds it; zero when published means now
}

package bus

import "context"

// EnsureTopics creates what is missing of topics, each with so many
// partitions. It tries again until ctx ends.
func EnsureTopics(ctx context.Context, brokers []string, partitions int, topics ...string) error {
	return nil
}

// ReadTopic hands fn every message from the first offset of each partition to
// the end of the partition at the time of the call.
func ReadTopic(ctx context.Context, brokers []string, topic string, fn func(Message) error) error {
	return nil
}

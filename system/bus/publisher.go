package bus

import "context"

// Publisher writes messages; it is safe for concurrent use.
type Publisher struct{}

// NewPublisher makes a publisher; it connects when it first publishes.
func NewPublisher(brokers []string) *Publisher { return &Publisher{} }

// Publish returns when all of msgs are acknowledged. After an error some of
// them may be in the log, and it is unknown which.
func (p *Publisher) Publish(ctx context.Context, msgs ...Message) error { return nil }

// Close ends the connections.
func (p *Publisher) Close() error { return nil }

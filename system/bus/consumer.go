package bus

import (
	"context"
	"log/slog"
	"time"
)

// ConsumerConfig says what Consume reads, and how.
type ConsumerConfig struct {
	Brokers        []string
	Group          string
	Topics         []string
	MaxBatch       int           // most messages per call of the handler; 0 takes 32
	CommitInterval time.Duration // between commits of offsets; 0 takes 250 ms
	OnReady        func()        // called once, at the first assignment; may be nil
	Log            *slog.Logger  // may be nil
}

// Handler processes one batch. Its ctx ends only when the process must stop
// at once; after an error it is called again with the same batch.
type Handler func(ctx context.Context, batch []Message) error

// Consume reads as a member of a group until ctx ends.
func Consume(ctx context.Context, cfg ConsumerConfig, handle Handler) error { return nil }

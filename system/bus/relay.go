package bus

import (
	"context"
	"log/slog"
)

// Outgoing is one row of an outbox.
type Outgoing struct {
	ID                  int64
	EventID, Topic, Key string
	Payload             []byte
}

// Row is any row of an outbox that has the fields of Outgoing, so that the
// store needs to know nothing of the bus.
type Row interface {
	~struct {
		ID                  int64
		EventID, Topic, Key string
		Payload             []byte
	}
}

// Outbox is what a relay needs of a database; *store.DB has it.
type Outbox[R Row] interface {
	// Lease blocks until this process alone may relay.
	Lease(ctx context.Context, name string) (release func(), err error)
	// Pending returns unpublished rows, oldest first.
	Pending(ctx context.Context, limit int) ([]R, error)
	MarkPublished(ctx context.Context, ids []int64) error
	// Wake is signalled after a commit that added rows.
	Wake() <-chan struct{}
}

// RunRelay publishes an outbox until ctx ends.
func RunRelay[R Row](ctx context.Context, box Outbox[R], pub *Publisher, log *slog.Logger) error {
	return nil
}

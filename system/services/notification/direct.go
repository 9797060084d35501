package notification

import (
	"context"
	"fmt"
	"time"

	"github.com/ordbench/ordbench/system/direct"
	"github.com/ordbench/ordbench/system/events"
)

// handle serves those who tell of an end in person and wait.
func (b *mailbox) handle(ctx context.Context, e events.Event) ([]byte, error) {
	if kinds[e.Type] == "" {
		return nil, fmt.Errorf("%s is nothing that customers are told of", e.Type)
	}
	out, err := b.send(ctx, []events.Event{e}, time.Now())
	if err == nil && out.repeated > 0 {
		err = direct.ErrRepeated
	}
	return nil, err
}

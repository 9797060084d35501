package direct

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/ordbench/ordbench/system/events"
)

// Vote is what a participant says to a transaction that it is asked to
// prepare.
type Vote struct {
	Yes    bool   `json:"yes"`              // it can commit, whatever happens from now on
	Reason string `json:"reason,omitempty"` // of a no, for people
}

// Participant is one service's part in transactions over several. Commit and
// Abort may be called again and again, and Abort of what was never prepared.
type Participant interface {
	// Prepare does the part of an order and holds it. It ends with ctx: who
	// asks does not wait for ever, and then decides to abort.
	Prepare(ctx context.Context, order events.Event) (Vote, error)
	Commit(ctx context.Context, orderID string) error
	Abort(ctx context.Context, orderID string) error
	// InDoubt is since when it has prepared which orders, of whose end it was
	// not told.
	InDoubt(ctx context.Context) (map[string]time.Time, error)
}

// The routes of a participant.
const (
	PreparePath = "/transactions/prepare"        // POST, the event order.created
	CommitPath  = "/transactions/{order}/commit" // POST
	AbortPath   = "/transactions/{order}/abort"  // POST
	InDoubtPath = "/transactions"                // GET
)

// Prepare asks the service for its vote. Any error is as good as a no, but
// then it may have prepared.
func (c *Client) Prepare(ctx context.Context, order events.Event) (Vote, error) {
	body, err := order.Encode()
	if err != nil {
		return Vote{}, fmt.Errorf("ask %s to prepare: %w", c.service, err)
	}
	var v Vote
	err = c.askFor(ctx, http.MethodPost, PreparePath, body, &v)
	return v, err
}

// Commit tells the service that its part stands.
func (c *Client) Commit(ctx context.Context, orderID string) error {
	return c.askFor(ctx, http.MethodPost, "/transactions/"+url.PathEscape(orderID)+"/commit", nil, nil)
}

// Abort tells the service that its part is undone.
func (c *Client) Abort(ctx context.Context, orderID string) error {
	return c.askFor(ctx, http.MethodPost, "/transactions/"+url.PathEscape(orderID)+"/abort", nil, nil)
}

// InDoubt asks the service what it has prepared, and since when.
func (c *Client) InDoubt(ctx context.Context) (map[string]time.Time, error) {
	var found map[string]time.Time
	err := c.askFor(ctx, http.MethodGet, InDoubtPath, nil, &found)
	return found, err
}

func (c *Client) askFor(ctx context.Context, method, path string, body []byte, answer any) error {
	_, text, err := c.ask(ctx, method, path, body)
	if err != nil || answer == nil {
		return err
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("%s says: %w: %w", c.service, ErrUnknown, err)
	}
	return nil
}

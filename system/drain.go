package system

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/ordbench/ordbench/system/bus"
)

// Drain is what is still in flight. A message that waits to be tried again is
// lag of the group that will. With the outbox off, events on their way
// stand in no book: orders that stay pending while all else is drained may be
// waiting for an event that was lost.
type Drain struct {
	Lag         []bus.Lag           `json:"lag"`
	Unpublished map[Component]int64 `json:"unpublished"` // outbox rows
	Pending     int64               `json:"pending"`     // orders that wait for their end
	InDoubt     int64               `json:"in_doubt"`    // parts of transactions over several services that wait for theirs
}

// Done tells whether nothing is in flight.
func (d Drain) Done() bool { return d.String() == "" }

// String says what is in flight, "" if nothing.
func (d Drain) String() string {
	var parts []string
	for _, l := range d.Lag {
		if n := l.Total(); n > 0 {
			parts = append(parts, fmt.Sprintf("%s is %d behind on %s", l.Group, n, l.Topic))
		}
	}
	for _, c := range Components() {
		if n := d.Unpublished[c]; n > 0 {
			parts = append(parts, fmt.Sprintf("the outbox of %s holds %d", c, n))
		}
	}
	if d.Pending > 0 {
		parts = append(parts, fmt.Sprintf("%d orders are pending", d.Pending))
	}
	if d.InDoubt > 0 {
		parts = append(parts, fmt.Sprintf("%d parts of transactions are in doubt", d.InDoubt))
	}
	return strings.Join(parts, ", ")
}

// Drained looks at what is still in flight: the lag of the groups, and the
// databases. An error says what could not be looked at.
func (s *Stack) Drained(ctx context.Context) (Drain, error) {
	d := Drain{Unpublished: map[Component]int64{}}
	// The books first: what moves on meanwhile is then seen as lag, or has
	// arrived.
	for _, c := range Bookkeepers() {
		db, err := s.database(ctx, c)
		if err != nil {
			return d, fmt.Errorf("look what is in flight: %w", err)
		}
		var unpublished int64
		if err := db.QueryRowContext(ctx, `SELECT count(*) FROM outbox WHERE published_at IS NULL`).Scan(&unpublished); err != nil {
			return d, fmt.Errorf("count the outbox of %s: %w", c, err)
		}
		d.Unpublished[c] = unpublished
		if s.cfg.Consistency == Consistency2PC {
			for _, query := range inDoubt(c) {
				var n int64
				if err := db.QueryRowContext(ctx, `SELECT count(*) FROM (`+query+`) AS found`).Scan(&n); err != nil {
					return d, fmt.Errorf("count what is in doubt at %s: %w", c, err)
				}
				d.InDoubt += n
			}
		}
		if c != Order {
			continue
		}
		if err := db.QueryRowContext(ctx, `SELECT count(*) FROM orders WHERE status = 'PENDING'`).Scan(&d.Pending); err != nil {
			return d, fmt.Errorf("count pending orders: %w", err)
		}
	}
	var err error
	all := consumers
	if s.cfg.Patterns.DeadLetters {
		all = slices.Concat(consumers, asides)
	}
	d.Lag, err = s.readLags(ctx, all)
	if err != nil {
		return d, fmt.Errorf("look what is in flight: %w", err)
	}
	return d, nil
}

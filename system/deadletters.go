package system

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ordbench/ordbench/system/bus"
	"github.com/ordbench/ordbench/system/events"
)

// DeadLetter is a message that a group has given up.
type DeadLetter struct {
	ID          string    `json:"id"`           // "payment-group/3": the group, and its number there
	Group       string    `json:"group"`        // that has given it up
	Origin      string    `json:"origin"`       // "inventory-topic/3@17", where it was first
	Key         string    `json:"key"`          // the order, in all that the services write
	Event       string    `json:"event"`        // type; Undecodable if it is none
	EventID     string    `json:"event_id"`     // "" if it is undecodable
	Cause       string    `json:"cause"`        // the last error
	Attempts    int       `json:"attempts"`     // that failed
	FirstFailed time.Time `json:"first_failed"` // zero if it does not say
	GivenUp     time.Time `json:"given_up"`
	Traceparent string    `json:"traceparent,omitempty"`
	Redriven    bool      `json:"redriven"`             // it was sent back to be tried again
	Handled     bool      `json:"handled"`              // the group has handled the event by now
	OrderStatus string    `json:"order_status"`         // "" if there is no such order
	Value       string    `json:"value,omitempty"`      // as it was sent
	Unreadable  bool      `json:"unreadable,omitempty"` // no other attempt will read it
}

// ErrNoDeadLetters says that there is nowhere to look.
var ErrNoDeadLetters = errors.New("dead letters are off in this stack")

// DeadLetters are all messages that were ever given up, by group and in the
// order in which that happened.
func (s *Stack) DeadLetters(ctx context.Context) ([]DeadLetter, error) {
	letters := []DeadLetter{}
	err := s.eachDeadLetter(ctx, func(d DeadLetter, _ bus.Message) error {
		letters = append(letters, d)
		return nil
	})
	return letters, err
}

// Redrive sends dead letters back to the groups that gave them up, to be tried
// as often as new messages; "all" is each that was neither redriven nor
// handled since. It returns those that it sent. Letters that are not there are
// an error, and nothing is sent.
func (s *Stack) Redrive(ctx context.Context, ids ...string) ([]DeadLetter, error) {
	all := slices.Equal(ids, []string{"all"})
	wanted := map[string]bool{}
	for _, id := range ids {
		wanted[id] = true
	}
	sent := []DeadLetter{}
	var msgs []bus.Message
	err := s.eachDeadLetter(ctx, func(d DeadLetter, m bus.Message) error {
		if wanted[d.ID] || all && !d.Redriven && !d.Handled {
			delete(wanted, d.ID)
			sent = append(sent, d)
			msgs = append(msgs, bus.Redriven(m, bus.RetryTopic(d.Group)))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if !all && len(wanted) > 0 {
		var missing []string
		for id := range wanted {
			missing = append(missing, id)
		}
		slices.Sort(missing)
		return nil, fmt.Errorf("redrive: no dead letter %s", strings.Join(missing, ", "))
	}
	pub := bus.NewPublisher(s.fleet.Brokers())
	defer func() { _ = pub.Close() }()
	if err := pub.Publish(ctx, msgs...); err != nil {
		return nil, fmt.Errorf("redrive: %w", err)
	}
	return sent, nil
}

// RedriveAll is Redrive of all, and says what it was. That there is none is an
// error.
func (s *Stack) RedriveAll(ctx context.Context) (detail string, err error) {
	sent, err := s.Redrive(ctx, "all")
	if err == nil && len(sent) == 0 {
		err = errors.New("redrive: nothing is given up")
	}
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("the broker acknowledged %d messages that had been given up, first %s", len(sent), sent[0].ID), nil
}

// eachDeadLetter hands fn every dead letter, with the message itself. What
// was sent back is known by the messages that wait, or waited, to be tried
// again: nothing else has to be kept.
func (s *Stack) eachDeadLetter(ctx context.Context, fn func(DeadLetter, bus.Message) error) error {
	if !s.cfg.Patterns.DeadLetters {
		return ErrNoDeadLetters
	}
	for _, group := range events.Groups() {
		redriven := map[string]bool{}
		err := bus.ReadTopic(ctx, s.fleet.Brokers(), bus.RetryTopic(group), func(m bus.Message) error {
			if from := m.Header(bus.HeaderRedriven); from != "" {
				redriven[from] = true
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("dead letters of %s: %w", group, err)
		}
		err = bus.ReadTopic(ctx, s.fleet.Brokers(), bus.DeadTopic(group), func(m bus.Message) error {
			d := deadLetter(group, m)
			d.Redriven = redriven[bus.Place(m)]
			if err := s.lookUp(ctx, &d); err != nil {
				return err
			}
			return fn(d, m)
		})
		if err != nil {
			return fmt.Errorf("dead letters of %s: %w", group, err)
		}
	}
	return nil
}

// deadLetter is what a message says of itself.
func deadLetter(group string, m bus.Message) DeadLetter {
	row := eventRow(m)
	d := DeadLetter{
		ID: fmt.Sprintf("%s/%d", group, m.Offset), Group: group, Origin: m.Header(bus.HeaderOrigin), Key: m.Key,
		Event: row.Type, EventID: row.EventID, Cause: m.Header(bus.HeaderCause),
		GivenUp: m.Time.UTC(), Traceparent: m.Header(bus.Traceparent), Value: string(m.Value), Unreadable: row.Type == Undecodable,
	}
	// What cannot be read of these stays zero.
	d.Attempts, _ = strconv.Atoi(m.Header(bus.HeaderAttempts))
	d.FirstFailed, _ = time.Parse(time.RFC3339Nano, m.Header(bus.HeaderFailedAt))
	return d
}

// keepers are the components whose inbox a group writes.
var keepers = map[string]Component{
	events.InventoryGroup: Inventory, events.PaymentGroup: Payment,
	events.OrderGroup: Order, events.NotificationGroup: Notification,
}

// lookUp asks the books what became of the event and of its order.
func (s *Stack) lookUp(ctx context.Context, d *DeadLetter) error {
	orders, err := s.database(ctx, Order)
	if err != nil {
		return err
	}
	// $1 is what SQLite and a server both understand.
	err = orders.QueryRowContext(ctx, `SELECT status FROM orders WHERE id = $1`, d.Key).Scan(&d.OrderStatus)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("status of order %s: %w", d.Key, err)
	}
	if d.EventID == "" {
		return nil
	}
	inbox, err := s.database(ctx, keepers[d.Group])
	if err != nil {
		return err
	}
	// Customers are told of an order and a kind, not of an event.
	var seen int
	err = inbox.QueryRowContext(ctx, `SELECT count(*) FROM inbox WHERE consumer = $1 AND event_id IN ($2, $3, $4, $5)`,
		d.Group, d.EventID, d.Key+" confirmed", d.Key+" rejected", d.Key+" cancelled").Scan(&seen)
	if err != nil {
		return fmt.Errorf("inbox of %s: %w", d.Group, err)
	}
	d.Handled = seen > 0
	return nil
}

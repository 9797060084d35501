package order

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/ordbench/ordbench/system/direct"
	"github.com/ordbench/ordbench/system/endpoint"
	"github.com/ordbench/ordbench/system/events"
	"github.com/ordbench/ordbench/system/pki"
)

// chain brings an order to its end before it is answered, by calling one
// service after the other. It is how most shops begin. Every service has to be
// there and quick at the same moment, or the order fails; and a call without
// an answer leaves the order where nobody can say what is done: it stays
// PENDING, and the stock it may have stays reserved, until a person looks.
// Nothing remembers how far a chain has come that dies with its process.
type chain struct {
	book                             *book
	inventory, payment, notification *direct.Client
	log                              *slog.Logger
}

func newChain(b *book, p Partners, me *pki.Identity, wrap func(http.RoundTripper) http.RoundTripper, log *slog.Logger) *chain {
	return &chain{
		book:         b,
		inventory:    direct.NewClient("inventory", p.Inventories, p.Timeout, me, wrap),
		payment:      direct.NewClient("payment", p.Payments, p.Timeout, me, wrap),
		notification: direct.NewClient("notification", p.Notifications, p.Timeout, me, wrap),
		log:          log,
	}
}

// errUndone is the error of an order that came to its end, though not the one
// that its customer wanted, because a service was not to be had.
var errUndone = errors.New("a service is not available, and the order is cancelled")

// run brings the order that created tells of to its end and returns its
// status. With an error that is not errUndone it is still PENDING.
func (c *chain) run(ctx context.Context, created events.Event) (Status, error) {
	// Who hangs up does not leave half an order behind.
	ctx = context.WithoutCancel(ctx)
	end, err := c.inventory.Tell(ctx, created)
	if err == nil && end.Type == events.InventoryReserved {
		if end, err = c.pay(ctx, end); err == nil {
			_, err = c.inventory.Tell(ctx, end)
		}
	}
	undone := false
	if err != nil {
		if errors.Is(err, direct.ErrUnknown) || end.Type == events.PaymentCaptured {
			return Pending, err
		}
		// It had no effect for certain, and what was done is undone.
		c.log.WarnContext(ctx, "order cancelled", "order_id", created.OrderID, "error", err)
		if end, err = decline(created, err.Error()); err != nil {
			return Pending, err
		}
		undone = true
	}
	status := ends[end.Type]
	if status == "" {
		return Pending, fmt.Errorf("%s is no end of an order", end.Type)
	}
	if _, err := c.book.apply(ctx, []events.Event{end}, time.Now()); err != nil {
		return Pending, err
	}
	if _, err := c.notification.Tell(ctx, end); err != nil {
		// The order stands. That its customer was never told is for the audit.
		c.log.ErrorContext(ctx, "the customer was not told", "order_id", created.OrderID, "error", err)
	}
	if undone {
		return status, errUndone
	}
	return status, nil
}

// pay has the order paid for. If that has failed for certain, its stock goes
// back; the error is unknown if even that is in doubt.
func (c *chain) pay(ctx context.Context, reserved events.Event) (events.Event, error) {
	paid, err := c.payment.Tell(ctx, reserved)
	if err == nil || errors.Is(err, direct.ErrUnknown) {
		return paid, err
	}
	back, problem := decline(reserved, err.Error())
	if problem == nil {
		_, problem = c.inventory.Tell(ctx, back)
	}
	if problem != nil {
		return events.Event{}, fmt.Errorf("%w: the stock did not go back: %w", direct.ErrUnknown, problem)
	}
	return events.Event{}, err
}

// decline is the event that calls off an order.
func decline(o events.Event, why string) (events.Event, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return events.Event{}, fmt.Errorf("make event id: %w", err)
	}
	o.Type, o.EventID, o.Reason, o.Timestamp = events.PaymentDeclined, id.String(), why, events.At(time.Now())
	return o, nil
}

// inline brings the order that created tells of to its end and returns its
// status. With an error that is not errUndone it is still PENDING.
type inline interface {
	run(ctx context.Context, created events.Event) (Status, error)
}

// finish answers for an order that was placed just now.
func (a *api) finish(w http.ResponseWriter, r *http.Request, placed receipt) {
	created, err := events.Decode(placed.event.Payload)
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	status, err := a.inline.run(r.Context(), created)
	w.Header().Set("Location", "/orders/"+placed.id)
	if status != Pending {
		a.metrics.moved.WithLabelValues(string(status)).Inc()
	}
	switch {
	case errors.Is(err, errUndone):
		endpoint.NewProblem(http.StatusServiceUnavailable, "unavailable", err.Error()).Write(w)
	case err != nil:
		a.log.ErrorContext(r.Context(), "order left pending", "order_id", placed.id, "error", err)
		endpoint.NewProblem(http.StatusGatewayTimeout, "unknown", "nobody knows how far the order has come").Write(w)
	default:
		endpoint.WriteJSON(w, http.StatusCreated, accepted{ID: placed.id, Status: status})
	}
}

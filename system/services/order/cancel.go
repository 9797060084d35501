package order

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/ordbench/ordbench/system/endpoint"
	"github.com/ordbench/ordbench/system/events"
	"github.com/ordbench/ordbench/system/lever"
	"github.com/ordbench/ordbench/system/store"
	"github.com/ordbench/ordbench/system/telemetry"
)

// A customer may cancel until the order is rejected, also one that is paid
// for: then CONFIRMED is not the end. Every other step leaves a cancelled
// order as it is, so that a payment that comes late does not revive it; the
// payment service gives that back.
const (
	cancelOrder = `UPDATE orders SET status = 'CANCELLED', version = version + 1, updated_at = ?, cancelled_at = ?
		WHERE id = ? AND status IN ('PENDING', 'PARKED', 'CONFIRMED') AND (? = '' OR user_id = ?)`
	selectCancelled = `SELECT user_id, total_cents, items, status FROM orders WHERE id = ?`
)

var errTooLate = errors.New("the order was rejected: there is nothing to cancel")

// cancel answers POST /orders/{id}/cancel: 202 as soon as the order is
// CANCELLED on disk, and again if it was already. Money and stock come back
// after that.
func (a *api) cancel(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	// Its trace is one of its own, not that of the order.
	telemetry.Annotate(r.Context(), id, true)
	event, err := a.book.cancel(r.Context(), id, subjectOf(r), lever.Now())
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	if event != nil {
		a.metrics.moved.WithLabelValues(string(Cancelled)).Inc()
		if a.publish != nil {
			a.publish(*event)
		}
	}
	w.Header().Set("Location", "/orders/"+id)
	endpoint.WriteJSON(w, http.StatusAccepted, accepted{ID: id, Status: Cancelled})
}

// subjectOf is the one customer that a request may speak for; "": all.
func subjectOf(r *http.Request) string { return r.Header.Get(endpoint.SubjectField) }

// cancel calls off an order of a customer, or of anybody for "", in one
// transaction, with its event if the outbox is on. The event is nil if the
// order was cancelled before. What is not the customer's is errNoSuchOrder.
func (b *book) cancel(ctx context.Context, id, customer string, now time.Time) (event *store.Message, err error) {
	eventID, err := uuid.NewV7()
	if err != nil {
		return nil, fmt.Errorf("make event id: %w", err)
	}
	err = b.db.Write(ctx, func(tx *store.Tx) error {
		event = nil
		changed, err := tx.ExecEach(cancelOrder, [][]any{{now.UnixMicro(), now.UnixMicro(), id, customer, customer}})
		if err != nil {
			return err
		}
		e := events.Event{Type: events.OrderCancelled, EventID: eventID.String(), OrderID: id, Timestamp: events.At(now)}
		var items string
		var status Status
		if err := tx.QueryRow(selectCancelled, id).Scan(&e.UserID, &e.Total, &items, &status); errors.Is(err, sql.ErrNoRows) {
			return errNoSuchOrder
		} else if err != nil {
			return err
		}
		switch {
		case customer != "" && customer != e.UserID:
			return errNoSuchOrder
		case changed[0] == 0 && status == Cancelled:
			return nil
		case changed[0] == 0:
			return errTooLate
		}
		if err := json.Unmarshal([]byte(items), &e.Items); err != nil {
			return fmt.Errorf("items of %s: %w", id, err)
		}
		payload, err := e.Encode()
		if err != nil {
			return err
		}
		event = &store.Message{
			EventID: e.EventID, Topic: events.CancellationsTopic, Key: id, Payload: payload, Traceparent: telemetry.Traceparent(ctx),
		}
		if b.outbox {
			if err := tx.Enqueue(*event); err != nil {
				return err
			}
		}
		return beforeCancelled.Hit(ctx)
	})
	if err == nil {
		err = afterCancelled.Hit(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("cancel order %s: %w", id, err)
	}
	return event, nil
}

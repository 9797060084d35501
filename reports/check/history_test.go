package check

import (
	"fmt"
	"testing"
	"time"

	"github.com/ordbench/ordbench/loadgen"
	"github.com/ordbench/ordbench/reports"
	"github.com/ordbench/ordbench/system"
	"github.com/ordbench/ordbench/system/events"
)

// history is a ledger and the books that go with it, row by row, so that a
// test can damage what it likes.
type history struct {
	attempts      []loadgen.Attempt
	orders        []system.OrderRow
	movements     []system.MovementRow
	stock         []system.StockRow
	charges       []system.ChargeRow
	entries       []system.EntryRow
	notifications []system.NotificationRow
	outbox        []system.OutboxRow
	events        []system.EventRow
	missed        map[string]uint64 // of the events of a group, so many are not in its inbox
	dead          []system.DeadLetter
	inDoubt       []system.InDoubtRow
}

// clean is a run in which everything went as promised: orders 0 to 5 were
// confirmed, 6 rejected for want of stock, 7 had no certain answer and
// happened, 8 had none and did not, 9 was refused.
func clean() *history {
	h := &history{stock: []system.StockRow{{SKU: "sku-1", Initial: 100, Available: 100}, {SKU: "sku-2", Initial: 16, Available: 16}}}
	for n := range 8 {
		certainty := loadgen.Happened
		if n == 7 {
			certainty = loadgen.Unknown
		}
		h.attempt(n, certainty)
		h.accept(n)
		h.publish(n)
		if n == 6 {
			h.refuse(n)
		} else {
			h.complete(n)
		}
	}
	h.attempt(8, loadgen.Unknown)
	h.attempt(9, loadgen.Refuted)
	return h
}

// inLine makes a history one of calls in line: nothing was published, though
// the inboxes know what was told.
func (h *history) inLine() {
	h.events, h.outbox = nil, nil
	h.missed = map[string]uint64{events.InventoryGroup: ^uint64(0)} // one more than there were events
}

func id(n int) string  { return fmt.Sprintf("01890000-0000-7000-8000-%012d", n) }
func key(n int) string { return fmt.Sprintf("key-%d", n) }

func (h *history) attempt(n int, c loadgen.Certainty) {
	a := loadgen.Attempt{Seq: uint64(n), Key: key(n), Certainty: c}
	if c == loadgen.Happened {
		a.OrderID = id(n)
	}
	h.attempts = append(h.attempts, a)
}

// accept writes the order and, in the same transaction, its event.
func (h *history) accept(n int) {
	h.orders = append(h.orders, system.OrderRow{ID: id(n), Key: key(n), Status: "PENDING", Version: 1})
	h.outbox = append(h.outbox, system.OutboxRow{Owner: "order", EventID: "created-" + id(n), Topic: "orders-topic", Key: id(n), Published: true})
}

func (h *history) publish(n int) {
	h.events = append(h.events, system.EventRow{Topic: "orders-topic", EventID: "created-" + id(n), Type: "order.created", OrderID: id(n)})
}

// add is an order that was placed and published.
func (h *history) add(n int) {
	h.attempt(n, loadgen.Happened)
	h.accept(n)
	h.publish(n)
}

// complete is the way of an order that is paid.
func (h *history) complete(n int) {
	h.reserve(n)
	h.charge(n, "captured")
	h.enter(n)
	h.answer(n, "payment", "captured", "CONFIRMED")
	h.settle(n, "sell")
	h.tell(n, "confirmed")
}

// cancel is the way of an order whose payment is declined.
func (h *history) cancel(n int) {
	h.reserve(n)
	h.charge(n, "declined")
	h.answer(n, "payment", "declined", "CANCELLED")
	h.settle(n, "release")
	h.tell(n, "cancelled")
}

func (h *history) reserve(n int) {
	for i := range h.stock {
		h.move(n, "reserve", i, 2)
	}
	h.answer(n, "inventory", "reserved", "PENDING")
}

func (h *history) refuse(n int) {
	h.move(n, "reject", 0, 0)
	h.answer(n, "inventory", "rejected", "REJECTED")
	h.tell(n, "rejected")
}

func (h *history) settle(n int, kind string) {
	for i := range h.stock {
		h.move(n, kind, i, 2)
	}
}

func (h *history) charge(n int, outcome string) {
	h.charges = append(h.charges, system.ChargeRow{OrderID: id(n), Key: fmt.Sprint(len(h.charges)), Outcome: outcome, Cents: 5_00})
}

func (h *history) enter(n int) {
	transaction := fmt.Sprint("transaction-", len(h.entries))
	h.entries = append(h.entries,
		system.EntryRow{Transaction: transaction, OrderID: id(n), Account: "provider", Cents: 5_00},
		system.EntryRow{Transaction: transaction, OrderID: id(n), Account: "sales", Cents: -5_00})
}

func (h *history) tell(n int, kind string) {
	h.notifications = append(h.notifications, system.NotificationRow{OrderID: id(n), Kind: kind})
}

// move writes a movement down, and does to the stock what it says.
func (h *history) move(n int, kind string, sku int, quantity int64) {
	s := &h.stock[sku]
	h.movements = append(h.movements, system.MovementRow{OrderID: id(n), EventID: "created-" + id(n), SKU: s.SKU, Kind: kind, Quantity: quantity})
	shift(s, kind, quantity)
}

func shift(s *system.StockRow, kind string, quantity int64) {
	switch kind {
	case "reserve":
		s.Available -= quantity
		s.Reserved += quantity
	case "release":
		s.Reserved -= quantity
		s.Available += quantity
	case "sell":
		s.Reserved -= quantity
		s.Sold += quantity
	case "return":
		s.Sold -= quantity
		s.Available += quantity
	}
}

// answer publishes what a service decided about an order, and sets the status
// that comes of it.
func (h *history) answer(n int, owner, what, status string) {
	event, topic := owner+"."+what, owner+"-topic"
	h.outbox = append(h.outbox, system.OutboxRow{Owner: owner, EventID: event + id(n), Topic: topic, Key: id(n), Published: true})
	h.events = append(h.events, system.EventRow{Topic: topic, EventID: event + id(n), Type: event, OrderID: id(n)})
	h.set(n, status)
}

func (h *history) set(n int, status string) {
	for i := range h.orders {
		if h.orders[i].ID == id(n) {
			h.orders[i].Status = status
			h.orders[i].UpdatedAt = time.Unix(1, 0)
		}
	}
}

// pend takes back all that happened to an order after it was accepted.
func (h *history) pend(n int) {
	h.set(n, "PENDING")
	h.unmove(n)
	h.uncharge(n)
	h.notifications = without(h.notifications, func(r system.NotificationRow) bool { return r.OrderID == id(n) })
	h.events = without(h.events, func(e system.EventRow) bool { return e.OrderID == id(n) && e.Topic != "orders-topic" })
	h.outbox = without(h.outbox, func(o system.OutboxRow) bool { return o.Key == id(n) && o.Topic != "orders-topic" })
}

// unmove takes back what happened to the stock.
func (h *history) unmove(n int) {
	for _, m := range h.movements {
		for i := range h.stock {
			if m.OrderID == id(n) && m.SKU == h.stock[i].SKU {
				shift(&h.stock[i], m.Kind, -m.Quantity)
			}
		}
	}
	h.movements = without(h.movements, func(m system.MovementRow) bool { return m.OrderID == id(n) })
}

// uncharge takes back what happened to the money.
func (h *history) uncharge(n int) {
	h.charges = without(h.charges, func(r system.ChargeRow) bool { return r.OrderID == id(n) })
	h.entries = without(h.entries, func(r system.EntryRow) bool { return r.OrderID == id(n) })
}

// unrow takes the order's row away.
func (h *history) unrow(n int) {
	h.orders = without(h.orders, func(o system.OrderRow) bool { return o.ID == id(n) })
}

// unpublish takes the order's own event out of the topic.
func (h *history) unpublish(n int) {
	h.events = without(h.events, func(e system.EventRow) bool { return e.EventID == "created-"+id(n) })
}

// unpromise takes its outbox row away.
func (h *history) unpromise(n int) {
	h.outbox = without(h.outbox, func(o system.OutboxRow) bool { return o.EventID == "created-"+id(n) })
}

func without[T any](rows []T, gone func(T) bool) []T {
	var kept []T
	for _, r := range rows {
		if !gone(r) {
			kept = append(kept, r)
		}
	}
	return kept
}

// judge feeds a book, with the ledger before or after the audit.
func (h *history) judge(t *testing.T, c Closing, ledgerFirst bool) Judgement {
	t.Helper()
	b := NewBook(Options{})
	var errs []error
	ledger := func() {
		for _, a := range h.attempts {
			errs = append(errs, b.Attempt(a))
		}
	}
	if ledgerFirst {
		ledger()
	}
	for _, r := range h.events {
		errs = append(errs, b.Event(r))
	}
	for _, r := range h.orders {
		errs = append(errs, b.Order(r))
	}
	for _, r := range h.movements {
		errs = append(errs, b.Movement(r))
	}
	for _, r := range h.stock {
		errs = append(errs, b.Stock(r))
	}
	for _, r := range h.charges {
		errs = append(errs, b.Charge(r))
	}
	for _, r := range h.entries {
		errs = append(errs, b.Entry(r))
	}
	for _, r := range h.notifications {
		errs = append(errs, b.Notification(r))
	}
	for _, r := range h.outbox {
		errs = append(errs, b.Outbox(r))
	}
	for group, seen := range h.inboxes() {
		errs = append(errs, b.Inbox(system.InboxRow{Group: group, Seen: seen}))
	}
	for _, r := range h.inDoubt {
		errs = append(errs, b.InDoubt(r))
	}
	for _, d := range h.dead {
		errs = append(errs, b.DeadLetter(d))
	}
	if !ledgerFirst {
		ledger()
	}
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	return b.Close(c)
}

// inboxes are those of groups that have handled every event once, but for
// what they missed.
func (h *history) inboxes() map[string]uint64 {
	handled, seen := map[string]uint64{}, map[string]bool{}
	for _, e := range h.events {
		if !seen[e.EventID] {
			for _, group := range readers[e.Type] {
				handled[group]++
			}
		}
		seen[e.EventID] = true
	}
	for group, n := range h.missed {
		handled[group] -= n
	}
	return handled
}

// giveUp is a message of an order that a group has laid aside instead of
// handling it.
func (h *history) giveUp(n int, group, event string) *system.DeadLetter {
	if h.missed == nil {
		h.missed = map[string]uint64{}
	}
	h.missed[group]++
	h.dead = append(h.dead, system.DeadLetter{
		ID: fmt.Sprintf("%s/%d", group, len(h.dead)), Group: group, Origin: "some-topic/0@1", Key: id(n), EventID: event + id(n), Cause: "no luck", Attempts: 4,
	})
	return &h.dead[len(h.dead)-1]
}

// fared lists the invariants with an outcome.
func fared(invariants []reports.Invariant, outcome string) []string {
	ids := []string{}
	for _, i := range invariants {
		if i.Outcome == outcome {
			ids = append(ids, i.ID)
		}
	}
	return ids
}

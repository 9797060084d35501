package check

import (
	"slices"
	"testing"

	"github.com/ordbench/ordbench/reports"
	"github.com/ordbench/ordbench/system"
)

// withdraw is what follows when the customer of a paid order cancels it.
func (h *history) withdraw(n int) {
	h.callOff(n)
	h.charge(n, "refunded")
	h.enterBack(n)
	h.answer(n, "payment", "refunded", "CANCELLED")
	h.settle(n, "return")
	h.tell(n, "refunded")
}

// callOff cancels an order, and tells of it.
func (h *history) callOff(n int) {
	event := "cancelled-" + id(n)
	h.outbox = append(h.outbox, system.OutboxRow{Owner: "order", EventID: event, Topic: "cancellations-topic", Key: id(n), Published: true})
	h.events = append(h.events, system.EventRow{Topic: "cancellations-topic", EventID: event, Type: "order.cancelled", OrderID: id(n)})
	h.set(n, "CANCELLED")
	for i := range h.orders {
		if h.orders[i].ID == id(n) {
			h.orders[i].Cancelled = true
		}
	}
}

// enterBack turns the transaction of an order round.
func (h *history) enterBack(n int) {
	h.enter(n)
	for i := len(h.entries) - 2; i < len(h.entries); i++ {
		h.entries[i].Cents = -h.entries[i].Cents
	}
}

func TestCancelledOrdersAreJudged(t *testing.T) {
	last := func(rows []system.EventRow) []system.EventRow { return rows[len(rows)-1:] }
	for _, tt := range []struct {
		name    string
		play    func(*history)
		closing func(*Closing)
		broken  []string
		unknown []string
	}{
		{name: "paid, cancelled, refunded", play: func(h *history) { h.withdraw(3) }},
		{name: "cancelled before it was charged: payment declines", play: func(h *history) {
			h.pend(3)
			h.callOff(3)
			h.reserve(3)
			h.charge(3, "declined")
			h.answer(3, "payment", "declined", "CANCELLED")
			h.settle(3, "release")
			h.tell(3, "cancelled")
		}},
		{name: "cancelled while there was no stock", play: func(h *history) {
			h.callOff(6)
		}},
		{
			name:   "cancelled, and the money kept",
			play:   func(h *history) { h.callOff(3) },
			broken: []string{reports.ChargedOnce, reports.StatusValid},
		},
		{
			name:    "cancelled a moment ago",
			play:    func(h *history) { h.callOff(3) },
			closing: func(c *Closing) { c.Drained = false },
			unknown: []string{reports.ChargedOnce, reports.StatusValid},
		},
		{
			name: "refunded twice",
			play: func(h *history) {
				h.withdraw(3)
				h.charge(3, "refunded")
				h.enterBack(3)
			},
			broken: []string{reports.ChargedOnce},
		},
		{
			name: "refunded, and not in the ledger",
			play: func(h *history) {
				h.withdraw(3)
				h.entries = h.entries[:len(h.entries)-2]
			},
			broken: []string{reports.LedgerBalanced},
		},
		{
			name: "refunded, and the stock is still sold",
			play: func(h *history) {
				h.callOff(3)
				h.charge(3, "refunded")
				h.enterBack(3)
				h.answer(3, "payment", "refunded", "CANCELLED")
				h.tell(3, "refunded")
			},
			broken: []string{reports.StatusValid},
		},
		{
			name: "refunded, and nobody told",
			play: func(h *history) {
				h.withdraw(3)
				h.notifications = h.notifications[:len(h.notifications)-1]
			},
			broken: []string{reports.NotifiedOnce},
		},
		{
			name: "told of the refund twice",
			play: func(h *history) {
				h.withdraw(3)
				h.tell(3, "refunded")
			},
			broken: []string{reports.NotifiedOnce},
		},
		{
			name: "refunded, and still CONFIRMED: the status went back",
			play: func(h *history) {
				h.withdraw(3)
				h.set(3, "CONFIRMED")
			},
			broken: []string{reports.ChargedOnce, reports.NotifiedOnce, reports.StatusValid},
		},
		{
			name: "the refund lies before the payment in its topic",
			play: func(h *history) {
				h.withdraw(3)
				e := last(h.events)[0]
				h.events = slices.Insert(h.events[:len(h.events)-1], 0, e)
			},
			broken: []string{reports.OrderPerKey},
		},
		{
			name: "the payment is published again after the refund, no harm",
			play: func(h *history) {
				h.withdraw(3)
				for _, e := range h.events {
					if e.OrderID == id(3) && e.Type == "payment.captured" {
						h.events = append(h.events, e)
						break
					}
				}
			},
		},
		{
			name: "the cancellation was never handled",
			play: func(h *history) {
				h.callOff(3)
				h.missed = map[string]uint64{"payment-group": 1}
			},
			broken: []string{reports.ChargedOnce, reports.StatusValid, reports.Consumed},
		},
		{
			name: "the cancellation lies among the dead letters, and says so",
			play: func(h *history) {
				h.callOff(3)
				h.giveUp(3, "payment-group", "cancelled-")
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := clean()
			tt.play(h)
			c := drained
			if tt.closing != nil {
				tt.closing(&c)
			}
			for _, first := range []bool{true, false} {
				j := h.judge(t, c, first)
				sorted := func(ids []string) []string { slices.Sort(ids); return ids }
				if got, want := sorted(fared(j.Invariants, reports.Broken)), sorted(slices.Clone(tt.broken)); !slices.Equal(got, want) {
					t.Errorf("broken %v, want %v", got, want)
				}
				if got, want := sorted(fared(j.Invariants, reports.Unknown)), sorted(slices.Clone(tt.unknown)); !slices.Equal(got, want) {
					t.Errorf("unknown %v, want %v", got, want)
				}
			}
		})
	}
}

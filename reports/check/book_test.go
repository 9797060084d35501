package check

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ordbench/ordbench/loadgen"
	"github.com/ordbench/ordbench/reports"
	"github.com/ordbench/ordbench/system"
)

var drained = Closing{Drained: true, HaveLedger: true, OutboxOn: true, InboxOn: true}

// cleanOrders are the numbers of the clean history.
var cleanOrders = reports.Orders{
	Attempted: 10, Accepted: 7, Rejected: 1, Unknown: 2, Completed: 7, Compensated: 1, Recovered: 1,
}

func TestJudgement(t *testing.T) {
	for _, tt := range []struct {
		name     string
		damage   func(*history)
		closing  func(*Closing)
		broken   []string
		unknown  []string
		orders   func(*reports.Orders) // against the clean ones
		evidence string                // of the first that is broken
	}{
		{
			name: "a clean history holds every law",
		},
		{
			name: "an event that was delivered twice and had one effect is no duplicate",
			damage: func(h *history) {
				h.publish(1)
				h.events = append(h.events, system.EventRow{Topic: "inventory-topic", EventID: "inventory.reserved" + id(1), Type: "inventory.reserved", OrderID: id(1)})
			},
		},
		{
			name: "a row that is in the topic and not yet marked will be published once more, no harm",
			damage: func(h *history) {
				h.outbox[0].Published = false
			},
		},
		{
			name:    "calls in line have no events, whatever the inboxes know",
			damage:  func(h *history) { h.inLine() },
			closing: func(c *Closing) { c.Direct, c.OutboxOn = true, false },
		},
		{
			name:    "with two-phase commit nothing may be in doubt, and nothing is",
			damage:  func(h *history) { h.inLine() },
			closing: func(c *Closing) { c.Direct, c.TwoPhase = true, true },
		},
		{
			name: "what stays promised when all is at rest is in doubt for ever",
			damage: func(h *history) {
				h.inLine()
				h.inDoubt = []system.InDoubtRow{{Owner: "inventory", What: "prepared", Name: id(3) + "/inventory"}}
			},
			closing:  func(c *Closing) { c.Direct, c.TwoPhase = true, true },
			broken:   []string{reports.NothingInDoubt},
			evidence: id(3) + "/inventory",
		},
		{
			name: "and may still end while the system works",
			damage: func(h *history) {
				h.inLine()
				h.inDoubt = []system.InDoubtRow{{Owner: "payment", What: "money held", Name: id(3)}}
			},
			closing: func(c *Closing) { c.Direct, c.TwoPhase, c.Drained = true, true, false },
			unknown: []string{reports.NothingInDoubt},
		},
		{
			name: "money that is held is neither charged nor refused",
			damage: func(h *history) {
				h.inLine()
				h.charges = append(h.charges, system.ChargeRow{OrderID: id(6), Key: id(6), Outcome: "held", Cents: 100})
			},
			closing: func(c *Closing) { c.Direct, c.TwoPhase = true, true },
		},
		{
			name:     "an accepted order without a row is lost (202 before the commit)",
			damage:   func(h *history) { h.pend(0); h.unpublish(0); h.unpromise(0); h.unrow(0) },
			broken:   []string{reports.AcceptedOnce},
			orders:   func(o *reports.Orders) { o.Lost, o.Completed = 1, 6 },
			evidence: id(0),
		},
		{
			name:    "it is lost while the system still works, too",
			damage:  func(h *history) { h.pend(0); h.unpublish(0); h.unpromise(0); h.unrow(0) },
			closing: func(c *Closing) { c.Drained = false },
			broken:  []string{reports.AcceptedOnce},
			orders:  func(o *reports.Orders) { o.Lost, o.Completed = 1, 6 },
		},
		{
			name:    "it is not known to be lost if the audit ended early",
			damage:  func(h *history) { h.pend(0); h.unpublish(0); h.unpromise(0); h.unrow(0) },
			closing: func(c *Closing) { c.AuditErr = errors.New("disk I/O error") },
			unknown: []string{
				reports.AcceptedOnce, reports.NoPhantom, reports.NoUnexpected, reports.EffectOnce, reports.ChargedOnce, reports.NotifiedOnce,
				reports.OneOrderPerKey, reports.EffectsHaveOrders, reports.StockConserved, reports.LedgerBalanced, reports.OutboxPublished, reports.EventsHaveRows,
				reports.Delivered, reports.LaidAside, reports.OrderPerKey, reports.AllTerminal, reports.StatusValid, reports.Consumed,
			},
			orders: func(o *reports.Orders) { o.Completed = 6 },
		},
		{
			name:     "an order PENDING after the drain is lost (dual write, event never sent)",
			damage:   func(h *history) { h.pend(2); h.unpublish(2); h.unpromise(2) },
			closing:  func(c *Closing) { c.OutboxOn = false },
			broken:   []string{reports.AcceptedOnce, reports.AllTerminal},
			orders:   func(o *reports.Orders) { o.Lost, o.Pending, o.Completed = 1, 1, 6 },
			evidence: id(2),
		},
		{
			name:    "an order PENDING before the drain may still end",
			damage:  func(h *history) { h.pend(2); h.unpublish(2); h.outbox[4].Published = false },
			closing: func(c *Closing) { c.Drained = false },
			unknown: []string{reports.AcceptedOnce, reports.OutboxPublished, reports.AllTerminal},
			orders:  func(o *reports.Orders) { o.Pending, o.Completed = 1, 6 },
		},
		{
			name:   "an order of an unknown attempt that stays PENDING is not lost, but did not end",
			damage: func(h *history) { h.pend(7) },
			broken: []string{reports.Delivered, reports.AllTerminal},
			orders: func(o *reports.Orders) { o.Pending, o.Completed = 1, 6 },
		},
		{
			name:     "a published order without effect is not delivered (offset committed before processing)",
			damage:   func(h *history) { h.pend(3) },
			broken:   []string{reports.AcceptedOnce, reports.Delivered, reports.AllTerminal},
			orders:   func(o *reports.Orders) { o.Lost, o.Pending, o.Completed = 1, 1, 6 },
			evidence: id(3),
		},
		{
			name:   "an answer of the inventory that the order service skipped is not delivered",
			damage: func(h *history) { h.set(3, "PENDING") },
			broken: []string{reports.AcceptedOnce, reports.Delivered, reports.AllTerminal},
			orders: func(o *reports.Orders) { o.Lost, o.Pending, o.Completed = 1, 1, 6 },
		},
		{
			name:     "an effect that stands twice is doubled (no inbox, event delivered again)",
			damage:   func(h *history) { h.complete(4) },
			closing:  func(c *Closing) { c.InboxOn = false },
			broken:   []string{reports.EffectOnce, reports.ChargedOnce, reports.NotifiedOnce},
			orders:   func(o *reports.Orders) { o.Duplicated = 1 },
			evidence: id(4),
		},
		{
			name:    "it is doubled before the drain, too",
			damage:  func(h *history) { h.complete(4) },
			closing: func(c *Closing) { c.Drained = false },
			broken:  []string{reports.EffectOnce, reports.ChargedOnce, reports.NotifiedOnce},
			orders:  func(o *reports.Orders) { o.Duplicated = 1 },
		},
		{
			name:    "what is doubled stays so if the audit ended early",
			damage:  func(h *history) { h.complete(4) },
			closing: func(c *Closing) { c.AuditErr = errors.New("disk I/O error") },
			broken:  []string{reports.EffectOnce, reports.ChargedOnce, reports.NotifiedOnce},
			unknown: []string{
				reports.AcceptedOnce, reports.NoPhantom, reports.NoUnexpected, reports.OneOrderPerKey,
				reports.EffectsHaveOrders, reports.StockConserved, reports.LedgerBalanced, reports.OutboxPublished, reports.EventsHaveRows,
				reports.Delivered, reports.LaidAside, reports.OrderPerKey, reports.AllTerminal, reports.StatusValid, reports.Consumed,
			},
			orders: func(o *reports.Orders) { o.Duplicated = 1 },
		},
		{
			name:     "the second SKU alone doubled is doubled",
			damage:   func(h *history) { h.move(4, "reserve", 1, 2); h.move(4, "sell", 1, 2) },
			broken:   []string{reports.EffectOnce},
			orders:   func(o *reports.Orders) { o.Duplicated = 1 },
			evidence: id(4),
		},
		{
			name:     "an order refused twice is doubled, whatever it lacked",
			damage:   func(h *history) { h.move(6, "reject", 1, 0) },
			broken:   []string{reports.EffectOnce},
			orders:   func(o *reports.Orders) { o.Duplicated = 1 },
			evidence: id(6),
		},
		{
			name:   "reserved and refused contradict each other (redelivery when the stock had run out)",
			damage: func(h *history) { h.move(4, "reject", 0, 0) },
			broken: []string{reports.EffectOnce},
			orders: func(o *reports.Orders) { o.Duplicated = 1 },
		},
		{
			name: "two orders under one key (check, then insert)",
			damage: func(h *history) {
				h.accept(20)
				h.orders[len(h.orders)-1].Key = key(1)
				h.publish(20)
				h.complete(20)
			},
			broken: []string{reports.OneOrderPerKey},
			orders: func(o *reports.Orders) { o.Completed, o.Duplicated = 8, 1 },
		},
		{
			name:     "a refused attempt with an order is a phantom (a timeout reported as a definite failure)",
			damage:   func(h *history) { h.accept(9); h.publish(9); h.complete(9) },
			broken:   []string{reports.NoPhantom},
			orders:   func(o *reports.Orders) { o.Phantom, o.Completed = 1, 8 },
			evidence: id(9),
		},
		{
			name:   "a retry that was refused does not make its first attempt certain",
			damage: func(h *history) { h.attempt(7, loadgen.Refuted); h.attempt(1, loadgen.Unknown) },
		},
		{
			name:     "an order that nobody attempted is unexpected (a ledger that drops rows)",
			damage:   func(h *history) { h.attempts = h.attempts[1:] },
			broken:   []string{reports.NoUnexpected},
			orders:   func(o *reports.Orders) { o.Attempted, o.Accepted, o.Unexpected = 9, 6, 1 },
			evidence: id(0),
		},
		{
			name:    "it is not, if the ledger is known to be short",
			damage:  func(h *history) { h.attempts = h.attempts[1:] },
			closing: func(c *Closing) { c.Attempts = 10 },
			unknown: []string{reports.LedgerComplete, reports.AcceptedOnce, reports.NoPhantom, reports.NoUnexpected},
			orders:  func(o *reports.Orders) { o.Attempted, o.Accepted = 9, 6 },
		},
		{
			name:    "a ledger that can't be read to its end proves nothing",
			damage:  func(h *history) { h.attempts = h.attempts[:9] },
			closing: func(c *Closing) { c.LedgerErr = errors.New("line 10: unexpected EOF") },
			unknown: []string{reports.LedgerComplete, reports.AcceptedOnce, reports.NoPhantom, reports.NoUnexpected},
			orders:  func(o *reports.Orders) { o.Attempted, o.Rejected = 9, 0 },
		},
		{
			name:    "without a ledger the laws about clients are left out",
			damage:  func(h *history) { h.attempts = nil },
			closing: func(c *Closing) { c.HaveLedger = false },
			orders:  func(o *reports.Orders) { *o = reports.Orders{Accepted: 8, Completed: 7, Compensated: 1} },
		},
		{
			name: "an effect without an order is unexpected",
			damage: func(h *history) {
				h.move(30, "reserve", 0, 1)
				h.move(30, "sell", 0, 1)
			},
			broken: []string{reports.EffectsHaveOrders},
			orders: func(o *reports.Orders) { o.Unexpected = 1 },
		},
		{
			name: "before the drain its order may just not have been read yet",
			damage: func(h *history) {
				h.move(30, "reserve", 0, 1)
				h.move(30, "sell", 0, 1)
			},
			closing: func(c *Closing) { c.Drained = false },
			unknown: []string{reports.EffectsHaveOrders},
		},
		{
			name:     "stock that does not add up is not conserved",
			damage:   func(h *history) { h.stock[1].Available++ },
			broken:   []string{reports.StockConserved},
			evidence: "sku-2",
		},
		{
			name: "stock that adds up and disagrees with its movements is not conserved (read, changed, written without a lock)",
			damage: func(h *history) {
				h.stock[0].Available += 2
				h.stock[0].Sold -= 2
			},
			broken:   []string{reports.StockConserved},
			evidence: "sku-1",
		},
		{
			name: "stock below zero is not conserved",
			damage: func(h *history) {
				h.stock[1].Initial -= 20
				h.stock[1].Available -= 20
			},
			broken: []string{reports.StockConserved},
		},
		{
			name:     "an event marked published and not in its topic breaks the outbox (marked before the acknowledgement)",
			damage:   func(h *history) { h.pend(5); h.unpublish(5) },
			broken:   []string{reports.AcceptedOnce, reports.OutboxPublished, reports.AllTerminal},
			orders:   func(o *reports.Orders) { o.Lost, o.Pending, o.Completed = 1, 1, 6 },
			evidence: id(5),
		},
		{
			name:   "an event without an outbox row comes from nowhere (order and outbox in two transactions)",
			damage: func(h *history) { h.unpromise(5) },
			broken: []string{reports.EventsHaveRows},
		},
		{
			name:    "with the outbox off the order service needs no outbox row",
			damage:  func(h *history) { h.unpromise(5) },
			closing: func(c *Closing) { c.OutboxOn = false },
		},
		{
			name:    "with the outbox off an event still needs an order",
			damage:  func(h *history) { h.publish(40) },
			closing: func(c *Closing) { c.OutboxOn = false },
			broken:  []string{reports.EventsHaveRows, reports.Delivered},
			orders:  func(o *reports.Orders) { o.Unexpected = 1 },
		},
		{
			name: "a confirmed order without stock has no valid status",
			damage: func(h *history) {
				h.unmove(0)
				h.move(0, "reject", 0, 0)
			},
			broken: []string{reports.StatusValid},
		},
		{
			name:   "a paid order that says it is rejected agrees with nothing",
			damage: func(h *history) { h.set(0, "REJECTED") },
			broken: []string{reports.ChargedOnce, reports.NotifiedOnce, reports.StatusValid},
			orders: func(o *reports.Orders) { o.Completed, o.Compensated = 6, 2 },
		},
		{
			name:   "a status that does not exist is not valid",
			damage: func(h *history) { h.set(0, "SHIPPED") },
			broken: []string{reports.StatusValid},
			orders: func(o *reports.Orders) { o.Completed = 6 },
		},
		{
			name:   "an order whose payment was declined is cancelled and keeps nothing",
			damage: func(h *history) { h.add(20); h.cancel(20) },
			orders: func(o *reports.Orders) { o.Attempted, o.Accepted, o.Compensated = 11, 8, 2 },
		},
		{
			name:     "a completed order that nobody charged",
			damage:   func(h *history) { h.uncharge(1) },
			broken:   []string{reports.ChargedOnce, reports.Delivered},
			evidence: id(1),
		},
		{
			name:    "before the drain its charge may not have been read yet",
			damage:  func(h *history) { h.uncharge(1) },
			closing: func(c *Closing) { c.Drained = false },
			unknown: []string{reports.ChargedOnce, reports.Delivered},
		},
		{
			name:     "an order charged twice (payment retried without its key)",
			damage:   func(h *history) { h.charge(1, "captured"); h.enter(1) },
			broken:   []string{reports.ChargedOnce},
			orders:   func(o *reports.Orders) { o.Duplicated = 1 },
			evidence: id(1),
		},
		{
			name:    "it is charged twice before the drain, too",
			damage:  func(h *history) { h.charge(1, "captured"); h.enter(1) },
			closing: func(c *Closing) { c.Drained = false },
			broken:  []string{reports.ChargedOnce},
			orders:  func(o *reports.Orders) { o.Duplicated = 1 },
		},
		{
			name:     "a rejected order that was charged",
			damage:   func(h *history) { h.charge(6, "captured"); h.enter(6) },
			broken:   []string{reports.ChargedOnce},
			evidence: id(6),
		},
		{
			name:     "a cancelled order that was charged (a compensation that races a late success)",
			damage:   func(h *history) { h.add(20); h.cancel(20); h.charge(20, "captured"); h.enter(20) },
			broken:   []string{reports.ChargedOnce},
			orders:   func(o *reports.Orders) { o.Attempted, o.Accepted, o.Compensated = 11, 8, 2 },
			evidence: id(20),
		},
		{
			name:     "a charge that the ledger does not have",
			damage:   func(h *history) { h.entries = h.entries[2:] },
			broken:   []string{reports.LedgerBalanced},
			evidence: id(0),
		},
		{
			name:    "before the drain it may be about to have it",
			damage:  func(h *history) { h.entries = h.entries[2:] },
			closing: func(c *Closing) { c.Drained = false },
			unknown: []string{reports.LedgerBalanced},
		},
		{
			name:     "a charge that the ledger has with another amount",
			damage:   func(h *history) { h.charges[0].Cents++ },
			broken:   []string{reports.LedgerBalanced},
			evidence: id(0),
		},
		{
			name: "a charge of nothing that the ledger has twice",
			damage: func(h *history) {
				h.charges[0].Cents, h.entries[0].Cents, h.entries[1].Cents = 0, 0, 0
				h.entries = append(h.entries, h.entries[:2]...)
			},
			broken:   []string{reports.LedgerBalanced},
			evidence: id(0),
		},
		{
			name:     "a transaction with one side",
			damage:   func(h *history) { h.entries = append(h.entries[:1], h.entries[2:]...) },
			broken:   []string{reports.LedgerBalanced},
			evidence: id(0),
		},
		{
			name:    "a transaction with one side is broken while the system works, too",
			damage:  func(h *history) { h.entries = append(h.entries[:1], h.entries[2:]...) },
			closing: func(c *Closing) { c.Drained = false },
			broken:  []string{reports.LedgerBalanced},
		},
		{
			name:     "a customer who was told twice (no inbox, event delivered again)",
			damage:   func(h *history) { h.tell(2, "confirmed") },
			broken:   []string{reports.NotifiedOnce},
			orders:   func(o *reports.Orders) { o.Duplicated = 1 },
			evidence: id(2),
		},
		{
			name:     "a customer who was told of something that there is not",
			damage:   func(h *history) { h.tell(2, "congratulated") },
			broken:   []string{reports.NotifiedOnce},
			orders:   func(o *reports.Orders) { o.Duplicated = 1 },
			evidence: id(2),
		},
		{
			name:     "a customer who was told of both ends",
			damage:   func(h *history) { h.tell(2, "cancelled") },
			broken:   []string{reports.NotifiedOnce},
			evidence: id(2),
		},
		{
			name:     "a customer who was told of nothing",
			damage:   func(h *history) { h.notifications = h.notifications[1:] },
			broken:   []string{reports.NotifiedOnce},
			evidence: id(0),
		},
		{
			name:    "before the drain he may be about to be told",
			damage:  func(h *history) { h.notifications = h.notifications[1:] },
			closing: func(c *Closing) { c.Drained = false },
			unknown: []string{reports.NotifiedOnce},
		},
		{
			name:     "money and words for an order that there is not",
			damage:   func(h *history) { h.charge(30, "captured"); h.enter(30); h.tell(31, "confirmed") },
			broken:   []string{reports.EffectsHaveOrders},
			orders:   func(o *reports.Orders) { o.Unexpected = 2 },
			evidence: id(30),
		},
		{
			name:     "stock that stays reserved for an order that was paid",
			damage:   func(h *history) { h.unmove(0); h.move(0, "reserve", 0, 2) },
			broken:   []string{reports.StockConserved, reports.StatusValid},
			evidence: "sku-1",
		},
		{
			name:    "before the drain it may be about to be sold",
			damage:  func(h *history) { h.unmove(0); h.move(0, "reserve", 0, 2) },
			closing: func(c *Closing) { c.Drained = false },
			unknown: []string{reports.StockConserved, reports.StatusValid},
		},
		{
			name: "a cancelled order that keeps its stock (compensation missing)",
			damage: func(h *history) {
				h.add(20)
				h.cancel(20)
				h.unmove(20)
				h.move(20, "reserve", 0, 2)
			},
			broken: []string{reports.StockConserved, reports.StatusValid},
			orders: func(o *reports.Orders) { o.Attempted, o.Accepted, o.Compensated = 11, 8, 2 },
		},
		{
			name:     "stock that was released twice (compensation doubled)",
			damage:   func(h *history) { h.add(20); h.cancel(20); h.move(20, "reserve", 0, 1); h.move(20, "release", 0, 1) },
			broken:   []string{reports.EffectOnce},
			orders:   func(o *reports.Orders) { o.Attempted, o.Accepted, o.Compensated, o.Duplicated = 11, 8, 2, 1 },
			evidence: id(20),
		},
		{
			name:   "stock that was sold and released",
			damage: func(h *history) { h.move(0, "release", 0, 2) },
			broken: []string{reports.EffectOnce, reports.StockConserved},
			orders: func(o *reports.Orders) { o.Duplicated = 1 },
		},
		{
			name:   "a reservation that payment skipped (offset committed before processing)",
			damage: func(h *history) { h.pend(3); h.reserve(3) },
			broken: []string{reports.AcceptedOnce, reports.Delivered, reports.AllTerminal},
			orders: func(o *reports.Orders) { o.Lost, o.Pending, o.Completed = 1, 1, 6 },
		},
		{
			name:   "an order that is parked is neither lost nor at its end",
			damage: func(h *history) { h.pend(3); h.reserve(3); h.charge(3, "declined"); h.set(3, "PARKED") },
			orders: func(o *reports.Orders) { o.Parked, o.Completed = 1, 6 },
		},
		{
			name:     "but it is lost if it was never published: parking it hides nothing",
			damage:   func(h *history) { h.pend(3); h.unpublish(3); h.unpromise(3); h.set(3, "PARKED") },
			closing:  func(c *Closing) { c.OutboxOn = false },
			broken:   []string{reports.AcceptedOnce, reports.AllTerminal},
			orders:   func(o *reports.Orders) { o.Lost, o.Parked, o.Completed = 1, 1, 6 },
			evidence: id(3),
		},
		{
			name:   "and an answer that it did not take is not delivered",
			damage: func(h *history) { h.set(3, "PARKED") },
			broken: []string{reports.Delivered},
			orders: func(o *reports.Orders) { o.Parked, o.Completed = 1, 6 },
		},
		{
			name: "an order whose reservation payment has given up is parked, not lost",
			damage: func(h *history) {
				h.add(20)
				h.reserve(20)
				h.set(20, "PARKED")
				h.giveUp(20, "payment-group", "inventory.reserved")
			},
			orders: func(o *reports.Orders) { o.Attempted, o.Accepted, o.Parked = 11, 8, 1 },
		},
		{
			name: "one that inventory has never looked at, too",
			damage: func(h *history) {
				h.add(20)
				h.set(20, "PARKED")
				h.giveUp(20, "inventory-group", "created-")
			},
			orders: func(o *reports.Orders) { o.Attempted, o.Accepted, o.Parked = 11, 8, 1 },
		},
		{
			name: "a dead letter that was sent back and handled excuses nothing and asks for nothing",
			damage: func(h *history) {
				d := h.giveUp(1, "payment-group", "inventory.reserved")
				d.Redriven, d.Handled = true, true
				h.missed = nil
			},
		},
		{
			name: "sent back and lost on the way it is no excuse",
			damage: func(h *history) {
				h.add(20)
				h.reserve(20)
				h.set(20, "PARKED")
				h.giveUp(20, "payment-group", "inventory.reserved").Redriven = true
			},
			broken: []string{reports.Delivered, reports.Consumed},
			orders: func(o *reports.Orders) { o.Attempted, o.Accepted, o.Parked = 11, 8, 1 },
		},
		{
			name: "an order with a dead letter that still waits was not parked",
			damage: func(h *history) {
				h.add(20)
				h.reserve(20)
				h.giveUp(20, "payment-group", "inventory.reserved")
			},
			broken: []string{reports.AcceptedOnce, reports.LaidAside, reports.AllTerminal},
			orders: func(o *reports.Orders) { o.Attempted, o.Accepted, o.Pending, o.Lost = 11, 8, 1, 1 },
		},
		{
			name: "a dead letter says why",
			damage: func(h *history) {
				h.add(20)
				h.set(20, "PARKED")
				d := h.giveUp(20, "inventory-group", "created-")
				d.Cause, d.Key = "", id(20)
			},
			broken:   []string{reports.LaidAside},
			orders:   func(o *reports.Orders) { o.Attempted, o.Accepted, o.Parked = 11, 8, 1 },
			evidence: "inventory-group/0 lacks its cause",
		},
		{
			name:     "an event that a group left behind is missed by no effect, but by the count",
			damage:   func(h *history) { h.missed = map[string]uint64{"notification-group": 1} },
			broken:   []string{reports.Consumed},
			evidence: "notification-group: 8 events, 7 handled, 0 laid aside",
		},
		{
			name:    "while the system works it may be on its way",
			damage:  func(h *history) { h.missed = map[string]uint64{"notification-group": 1} },
			closing: func(c *Closing) { c.Drained = false },
			unknown: []string{reports.Consumed},
		},
		{
			name:    "no books at all prove nothing, but that the accepted orders are gone",
			damage:  func(h *history) { *h = history{attempts: h.attempts} },
			broken:  []string{reports.AcceptedOnce},
			unknown: []string{reports.NoUnexpected, reports.EffectOnce, reports.ChargedOnce, reports.NotifiedOnce, reports.OneOrderPerKey, reports.EffectsHaveOrders, reports.StockConserved, reports.LedgerBalanced, reports.OutboxPublished, reports.EventsHaveRows, reports.Delivered, reports.LaidAside, reports.OrderPerKey, reports.AllTerminal, reports.StatusValid, reports.Consumed},
			orders:  func(o *reports.Orders) { o.Lost, o.Completed, o.Compensated, o.Recovered = 7, 0, 0, 0 },
		},
		{
			name:    "where nothing was attempted nothing is known",
			damage:  func(h *history) { *h = history{stock: []system.StockRow{{SKU: "sku-1", Initial: 5, Available: 5}}} },
			unknown: []string{reports.LedgerComplete, reports.AcceptedOnce, reports.NoPhantom, reports.NoUnexpected, reports.EffectOnce, reports.ChargedOnce, reports.NotifiedOnce, reports.OneOrderPerKey, reports.EffectsHaveOrders, reports.LedgerBalanced, reports.OutboxPublished, reports.EventsHaveRows, reports.Delivered, reports.LaidAside, reports.OrderPerKey, reports.AllTerminal, reports.StatusValid, reports.Consumed},
			orders:  func(o *reports.Orders) { *o = reports.Orders{} },
		},
		{
			name:   "an accepted attempt whose answer named no order is found by its key",
			damage: func(h *history) { h.attempts[0].OrderID = "" },
		},
		{
			name:   "and lost if there is none",
			damage: func(h *history) { h.attempts = append(h.attempts, loadgen.Attempt{Key: "nameless"}) },
			broken: []string{reports.AcceptedOnce},
			orders: func(o *reports.Orders) { o.Attempted, o.Accepted, o.Lost = 11, 8, 1 },
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, want := drained, cleanOrders
			if tt.closing != nil {
				tt.closing(&c)
			}
			if tt.orders != nil {
				tt.orders(&want)
			}
			for _, ledgerFirst := range []bool{true, false} {
				h := clean()
				if tt.damage != nil {
					tt.damage(h)
				}
				j := h.judge(t, c, ledgerFirst)
				if diff := cmp.Diff(orEmpty(tt.broken), fared(j.Invariants, reports.Broken)); diff != "" {
					t.Errorf("broken, -want +got:\n%s", diff)
				}
				if diff := cmp.Diff(orEmpty(tt.unknown), fared(j.Invariants, reports.Unknown)); diff != "" {
					t.Errorf("unknown, -want +got:\n%s", diff)
				}
				if diff := cmp.Diff(want, j.Orders); diff != "" {
					t.Errorf("orders, -want +got:\n%s", diff)
				}
				if tt.evidence != "" {
					i := slices.IndexFunc(j.Invariants, func(i reports.Invariant) bool { return i.Outcome == reports.Broken })
					if i < 0 || !slices.Contains(j.Invariants[i].Evidence, tt.evidence) {
						t.Errorf("no evidence %s in %+v", tt.evidence, j.Invariants)
					}
				}
				for _, i := range j.Invariants {
					if i.Detail == "" || i.Evidence == nil {
						t.Errorf("%s has no detail or evidence: %+v", i.ID, i)
					}
				}
			}
		})
	}
}

func orEmpty(ids []string) []string {
	if ids == nil {
		return []string{}
	}
	return ids
}

func TestEvidenceIsBounded(t *testing.T) {
	h := clean()
	for n := 100; n < 200; n++ {
		h.attempt(n, loadgen.Happened)
	}
	j := h.judge(t, drained, true)
	for _, i := range j.Invariants {
		if i.ID == reports.AcceptedOnce && (len(i.Evidence) != 20 || !strings.HasPrefix(i.Detail, "100 ")) {
			t.Errorf("%d ids of evidence, detail %q", len(i.Evidence), i.Detail)
		}
	}
}

func TestIdsThatAreNoUUIDsComeBackUnchanged(t *testing.T) {
	for _, id := range []string{
		"o-1", "", "01890000-0000-7000-8000-00000000000A", "01890000-0000-7000-8000-00000000000g",
		"01890000-0000-7000-8000-000000000001", "018900000000-7000-8000-0000-000000001", strings.Repeat("-", 36),
	} {
		var s orders
		n, ok := s.intern(7, id)
		if !ok || s.name(n) != id {
			t.Errorf("%q became %q", id, s.name(n))
		}
	}
}

func TestAttemptWithoutKeyIsAnError(t *testing.T) {
	if err := NewBook(Options{}).Attempt(loadgen.Attempt{Seq: 3}); err == nil {
		t.Error("no error")
	}
}

func FuzzTable(f *testing.F) {
	f.Add([]byte("some hashes, some of them twice"))
	f.Fuzz(func(t *testing.T, hashes []byte) {
		var tab table
		want := map[uint64]uint32{}
		for i, b := range hashes {
			hash := uint64(b)<<uint(i%9) + 1
			*tab.at(hash) += uint32(i)
			want[hash] += uint32(i)
		}
		n := 0
		tab.each(func(uint32) { n++ })
		if n != len(want) {
			t.Fatalf("%d values, want %d", n, len(want))
		}
		for hash, v := range want {
			if got := tab.values[tab.place(hash)]; got != v {
				t.Fatalf("hash %d has %d, want %d", hash, got, v)
			}
		}
	})
}

func FuzzUUID(f *testing.F) {
	f.Add("01890000-0000-7000-8000-000000000001")
	f.Fuzz(func(t *testing.T, s string) {
		var id [16]byte
		if parseUUID(s, &id) && formatUUID(id) != s {
			t.Errorf("%q became %q", s, formatUUID(id))
		}
	})
}

func ExampleBook() {
	b := NewBook(Options{})
	_ = b.Attempt(loadgen.Attempt{Key: "k", OrderID: "o-1", Certainty: loadgen.Happened})
	j := b.Close(Closing{Drained: true, HaveLedger: true})
	fmt.Println(j.Orders.Lost, "lost:", j.Invariants[1].Evidence)
	// Output: 1 lost: [o-1]
}

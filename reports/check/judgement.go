package check

import (
	"fmt"
	"slices"

	"github.com/ordbench/ordbench/reports"
)

// judgement collects the laws, each with what is said if nothing speaks
// against it. A law that nothing could have broken is unknown: a reading
// that never happened proves nothing.
func (j *judging) judgement() Judgement {
	var skus uint64
	for _, s := range j.stock {
		if s.known {
			skus++
		}
	}
	books := []statement{
		{reports.EffectOnce, j.tally.movements, "%d stock effects, each of them once", "no stock effect was read"},
		{reports.ChargedOnce, j.tally.rows, "%d orders, charged once if completed and else not at all", "no order was read"},
		{reports.NotifiedOnce, j.tally.rows, "%d orders, and each customer was told once how it ended", "no order was read"},
		{reports.OneOrderPerKey, j.tally.rows, "%d orders, each under a key of its own", "no order was read"},
		{reports.EffectsHaveOrders, j.tally.movements, "%d stock effects, each of an order", "no stock effect was read"},
		{reports.StockConserved, skus, "%d SKUs add up and agree with their movements", "no stock was read"},
		{reports.LedgerBalanced, j.tally.rows, "the ledger makes zero and agrees with what %d orders were charged", "no order was read"},
		{reports.OutboxPublished, j.tally.promised, "%d promised events are in their topics", "no outbox row was read"},
		{reports.EventsHaveRows, j.tally.inTopics, "%d messages, each from a committed row", "no message was read"},
		{reports.Delivered, j.published, "%d published orders had their effects", "no order was published"},
		{reports.LaidAside, j.tally.rows, j.laidAside(), "no order was read"},
		{reports.OrderPerKey, j.tally.inTopics, "%d messages, and no event before the one that it follows from", "no message was read"},
		{reports.AllTerminal, j.tally.rows, "%d orders came to their end", "no order was read"},
		{reports.StatusValid, j.tally.rows, "%d orders have a status that agrees with the stock", "no order was read"},
	}
	clients := []statement{
		{reports.LedgerComplete, j.lines, "%d attempts in the ledger", "the ledger is empty"},
		{reports.AcceptedOnce, j.sum.Accepted, "%d accepted orders have their row and came to their end", "no order was accepted"},
		{reports.NoPhantom, j.sum.Attempted, "%d attempts, and none that was refused left an order", "no order was attempted"},
		{reports.NoUnexpected, j.tally.rows, "%d orders, each of them attempted", "no order was read"},
	}
	if j.Direct {
		books = slices.DeleteFunc(books, func(s statement) bool {
			return slices.Contains([]string{reports.OutboxPublished, reports.EventsHaveRows, reports.Delivered, reports.OrderPerKey}, s.id)
		})
	}
	if j.TwoPhase {
		books = append(books, statement{reports.NothingInDoubt, j.tally.rows, "%d orders, and no part of any is in doubt", "no order was read"})
	}
	var invariants []reports.Invariant
	if j.HaveLedger {
		for _, s := range clients {
			invariants = append(invariants, j.state(s, j.ledgerDoubt()))
		}
	}
	if j.InboxOn && !j.Direct {
		books = append(books, statement{reports.Consumed, j.tally.inTopics, "%d messages, and each event is handled by every group that must, or laid aside", "no message was read"})
	}
	for _, s := range books {
		invariants = append(invariants, j.state(s, ""))
	}
	for i := range invariants {
		inv := &invariants[i]
		switch {
		case inv.Outcome != reports.Broken:
		case !j.InboxOn && slices.Contains([]string{reports.EffectOnce, reports.ChargedOnce, reports.NotifiedOnce, reports.LedgerBalanced}, inv.ID):
			inv.Detail += "; the inbox is off"
		case inv.ID == reports.OneOrderPerKey && !j.KeysOn:
			inv.Detail += "; idempotency is off"
		case inv.ID == reports.AcceptedOnce && !j.OutboxOn:
			inv.Detail += "; the outbox is off"
		}
	}
	return Judgement{Orders: j.sum, Invariants: invariants}
}

// laidAside is what is said of dead letters that are as they should be.
func (j *judging) laidAside() string {
	return fmt.Sprintf("%d dead letters of %%d orders, each with its key, its cause and its origin", j.tally.dead)
}

// statement is what is said of a law that held over n things.
type statement struct {
	id      string
	n       uint64
	held    string
	nothing string // what is said where n is 0
}

// state gives a law its statement, or the doubt that forbids it.
func (j *judging) state(s statement, doubt string) reports.Invariant {
	l := j.law(s.id)
	l.held, l.doubt = fmt.Sprintf(s.held, s.n), doubt
	switch {
	case l.doubt != "":
	case !j.whole && s.id != reports.LedgerComplete:
		l.doubt = fmt.Sprintf("the audit ended early: %v", j.AuditErr)
	case s.n == 0:
		l.doubt = s.nothing
	}
	return l.verdict()
}

// ledgerDoubt says why the ledger can't be relied on, "" if it can.
func (j *judging) ledgerDoubt() string {
	switch {
	case j.LedgerErr != nil:
		return fmt.Sprintf("the ledger ended early: %v", j.LedgerErr)
	case !j.complete:
		return fmt.Sprintf("the ledger has %d of %d attempts", j.lines, j.Attempts)
	}
	return ""
}

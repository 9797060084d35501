package check

import (
	"fmt"
	"maps"
	"slices"

	"github.com/ordbench/ordbench/reports"
)

// Closing says how the reading ended.
type Closing struct {
	// Drained: at the time of the audit there was no lag and no unpublished
	// outbox row, and none was to come. Orders that are PENDING do not count
	// against it: with nothing left in flight they will never end.
	Drained bool
	// HaveLedger: there is a ledger of attempts. Without one (a stack that
	// strangers used) the laws about clients are left out, and every order
	// that stands in the books counts as accepted.
	HaveLedger bool
	// LedgerErr and AuditErr ended the reading early: what is missing then
	// proves nothing.
	LedgerErr, AuditErr error
	// Attempts is how many lines the ledger must have; 0 is not checked.
	Attempts uint64
	// OutboxOn: the order service publishes through its outbox.
	OutboxOn bool
	// Direct: services call each other, so that there are no events, and the
	// laws about them are left out.
	Direct bool
	// TwoPhase: services promise their parts before any is done.
	TwoPhase bool
	// InboxOn: consumers drop what they have seen.
	InboxOn bool
	// KeysOn: the order service looks at idempotency keys.
	KeysOn bool
}

// Judgement is what a Book comes to.
type Judgement struct {
	Orders     reports.Orders
	Invariants []reports.Invariant
}

// Close judges what was read.
func (b *Book) Close(c Closing) Judgement {
	j := &judging{Book: b, Closing: c, laws: map[string]*law{}}
	j.whole = c.AuditErr == nil
	j.settled = j.whole && c.Drained
	j.complete = c.LedgerErr == nil && (c.Attempts == 0 || c.Attempts == b.lines)
	if c.HaveLedger {
		j.keys.each(j.judgeKey)
	}
	for i := range b.orders.count {
		j.judgeOrder(i)
	}
	for _, open := range j.sides {
		j.law(reports.LedgerBalanced).misses(j.whole, "transactions that do not make zero", j.orders.name(open.order))
	}
	j.events.each(j.judgeEvent)
	for _, name := range slices.Sorted(maps.Keys(b.stock)) {
		j.judgeSKU(name, b.stock[name])
	}
	for _, open := range j.inDoubt {
		j.law(reports.NothingInDoubt).misses(j.settled, open.what, open.name)
	}
	for _, lacking := range j.poor {
		j.law(reports.LaidAside).breaks("dead letters that do not say enough", lacking)
	}
	for _, name := range slices.Sorted(maps.Keys(j.groups)) {
		j.judgeGroup(name, j.groups[name])
	}
	return j.judgement()
}

// judgeGroup judges whether a group has accounted for all that it had to do.
// Its inbox says what it has done; without one nobody has counted.
func (j *judging) judgeGroup(name string, g *group) {
	if left := uint64(len(g.given)); j.InboxOn && !j.Direct && g.due != g.handled+left {
		j.law(reports.Consumed).misses(j.settled, "groups that do not account for every event",
			fmt.Sprintf("%s: %d events, %d handled, %d laid aside", name, g.due, g.handled, left))
	}
}

// judging is the state of Close.
type judging struct {
	*Book
	Closing
	whole     bool // the books were read to their end
	settled   bool // and nothing was in flight
	complete  bool // the ledger has every attempt
	published uint64
	waiting   uint64 // orders of which a dead letter is left
	sum       reports.Orders
	laws      map[string]*law
}

// law returns the invariant with this id.
func (j *judging) law(id string) *law {
	l := j.laws[id]
	if l == nil {
		l = &law{id: id, max: j.max}
		j.laws[id] = l
	}
	return l
}

// judgeKey counts an attempt by what its client was told, and tells the
// order that it made.
func (j *judging) judgeKey(key uint32) {
	if key&attempted == 0 {
		return
	}
	j.sum.Attempted++
	told := uint64(toldNo)
	switch {
	case key&happened != 0:
		told = toldYes
		j.sum.Accepted++
	case key&mayHappen != 0:
		told = untold
		j.sum.Unknown++
	default:
		j.sum.Rejected++
	}
	if owner := int(key>>keyFlags) - 1; owner >= 0 {
		j.orders.get(owner).facts |= told
	} else if told == toldYes {
		// The answer named no order, and no row has the key.
		j.lost("without a row", "", j.whole)
	}
}

// lost records an accepted order that is not as it was promised.
func (j *judging) lost(how, id string, sure bool) {
	j.law(reports.AcceptedOnce).misses(sure, "accepted orders "+how, id)
	if sure {
		j.sum.Lost++
	}
}

// judgeOrder judges one order by its facts.
func (j *judging) judgeOrder(number int) {
	o := j.orders.get(number)
	if o.any(created) {
		j.published++
	}
	if o.facts == 0 && o.first == 0 {
		return // named by an outbox row alone
	}
	id := j.orders.name(number)
	stands := o.has(row)
	if j.HaveLedger {
		j.promise(o, id)
	} else if stands {
		j.sum.Accepted++
	}
	j.once(o, id)
	if o.has(sharedKey) {
		j.law(reports.OneOrderPerKey).breaks("orders that share an idempotency key", id)
		if o.has(extra) {
			j.sum.Duplicated++
		}
	}
	if stands {
		j.status(o, id)
	} else {
		j.orphan(o, id)
	}
	if o.has(aside) {
		j.waiting++
		if stands && o.any(pending) {
			j.law(reports.LaidAside).misses(j.settled, "orders with a dead letter that still wait", id)
		}
		return // what did not happen is in the dead letter
	}
	if o.has(created) && o.first == 0 {
		j.law(reports.Delivered).misses(j.settled, "published orders without a stock effect", id)
	}
	if o.has(decided) && !o.any(charged|declined) {
		j.law(reports.Delivered).misses(j.settled, "reserved orders that nobody charged", id)
	}
}

// once looks for what happened to an order more than once.
func (j *judging) once(o *order, id string) {
	twice := false
	if o.has(doubled) || o.has(reserved|refused) || o.has(sold|released) {
		j.law(reports.EffectOnce).breaks("orders with an effect more than once", id)
		twice = true
	}
	if o.has(chargedTwice) {
		j.law(reports.ChargedOnce).breaks("orders charged more than once", id)
		twice = true
	}
	if o.has(refundedTwice) {
		j.law(reports.ChargedOnce).breaks("orders refunded more than once", id)
		twice = true
	}
	if o.has(outOfOrder) {
		j.law(reports.OrderPerKey).breaks("orders with an event before the one that it follows from", id)
	}
	if o.any(toldTwice | toldRefundedTwice) {
		j.law(reports.NotifiedOnce).breaks("orders told of more than once", id)
		twice = true
	}
	if twice {
		j.sum.Duplicated++
	}
	// What is charged twice by accident and entered twice by the same accident
	// agrees; what is only in one of the books does not.
	if j.owes(o) {
		j.law(reports.LedgerBalanced).misses(j.settled, "orders whose charge is not what the ledger says", id)
	}
}

// owes says whether the provider's book and the ledger disagree. A charge that
// was made and then given up is not in the ledger until it is sent back.
func (j *judging) owes(o *order) bool {
	if o.has(aside) && o.has(charged) && !o.any(chargedTwice|posted) {
		return false
	}
	if o.has(aside) && o.has(refunded) && !o.any(refundedTwice|postedBack) {
		return false
	}
	return o.owed != 0 || o.has(charged) != o.has(posted) || o.has(chargedTwice) != o.has(postedTwice) ||
		o.has(refunded) != o.has(postedBack) || o.has(refundedTwice) != o.has(postedBackTwice)
}

// promise judges an order by what its client was told.
func (j *judging) promise(o *order, id string) {
	told, stands := o.any(accepted|toldYes), o.has(row)
	switch {
	case told && !stands:
		j.lost("without a row", id, j.whole)
	case told && o.has(pending):
		j.lost("still PENDING", id, j.settled)
	case told && o.has(parked) && !o.has(created):
		j.lost("PARKED and never published", id, j.settled)
	case told || !stands || o.has(extra):
	case o.has(untold):
		j.sum.Recovered++
	case o.has(toldNo):
		j.law(reports.NoPhantom).misses(j.complete, "refused attempts with an order", id)
		if j.complete {
			j.sum.Phantom++
		}
	default:
		j.law(reports.NoUnexpected).misses(j.complete, "orders that nobody attempted", id)
		if j.complete {
			j.sum.Unexpected++
		}
	}
}

// status judges an order that stands in its database.
func (j *judging) status(o *order, id string) {
	law := j.law(reports.StatusValid)
	missing := func(what string) {
		if !o.has(aside) { // else it is in the dead letter
			law.misses(j.settled, what, id)
		}
	}
	if o.any(pending|parked) && o.has(ended) && !o.has(aside) {
		j.law(reports.Delivered).misses(j.settled, "ended orders still PENDING or PARKED", id)
	}
	switch {
	case o.any(pending):
		j.sum.Pending++
		j.law(reports.AllTerminal).misses(j.settled, "orders still PENDING", id)
	case o.any(confirmed):
		j.sum.Completed++
		if !o.any(reserved) {
			missing("CONFIRMED orders without stock")
		} else if !o.any(sold) {
			missing("CONFIRMED orders whose stock is not sold")
		}
		if !o.any(charged) {
			j.law(reports.ChargedOnce).misses(j.settled, "CONFIRMED orders that nobody charged", id)
		}
		if o.any(refunded) {
			j.law(reports.ChargedOnce).misses(j.settled, "CONFIRMED orders that were refunded", id)
		}
		if o.any(returned) {
			missing("CONFIRMED orders whose stock came back")
		}
		j.told(o, toldConfirmed, id)
	case o.any(rejected):
		j.sum.Compensated++
		if !o.any(refused | released) {
			law.misses(j.settled, "REJECTED orders that nobody refused", id)
		}
		j.compensated(o, "REJECTED", id)
		j.told(o, toldRejected, id)
	case o.any(cancelled):
		j.sum.Compensated++
		j.compensated(o, "CANCELLED", id)
		if o.has(withdrawn) {
			j.withdrawn(o, id)
		} else {
			j.told(o, toldCancelled, id)
		}
	case o.any(parked):
		j.sum.Parked++
		if !o.any(created) {
			j.law(reports.AllTerminal).misses(j.settled, "PARKED orders that were never published", id)
		}
	}
	if o.any(strange) {
		law.breaks("orders with a status that does not exist", id)
	}
}

// compensated judges an order that ended without a sale: it keeps neither
// stock nor money.
func (j *judging) compensated(o *order, status, id string) {
	law := j.law(reports.StatusValid)
	switch {
	case o.any(sold) && !o.any(returned) && !o.has(aside|withdrawn):
		law.misses(j.settled, status+" orders whose stock is sold", id)
	case o.any(returned) && !o.any(sold) && !o.has(aside):
		law.misses(j.settled, status+" orders whose stock came back and was never sold", id)
	case o.any(reserved) && !o.any(released|returned) && !o.has(aside):
		law.misses(j.settled, status+" orders that keep stock", id)
	}
	if o.any(charged) && !o.any(refunded) && !o.has(aside|withdrawn) {
		j.law(reports.ChargedOnce).misses(j.settled, status+" orders that were charged", id)
	}
	if o.any(refunded) && !o.any(charged) {
		j.law(reports.ChargedOnce).misses(j.settled, status+" orders that were refunded and never charged", id)
	}
}

// withdrawn judges what the customer heard of an order that he has cancelled:
// how it would have ended, whatever that was, and of the refund if there was
// one.
func (j *judging) withdrawn(o *order, id string) {
	law := j.law(reports.NotifiedOnce)
	heard := o.facts & (toldConfirmed | toldRejected | toldCancelled)
	switch {
	case o.has(aside):
	case heard == 0 && o.any(ended):
		law.misses(j.settled, "ended orders that nobody was told of", id)
	case o.any(refunded) && !o.any(toldRefunded):
		law.misses(j.settled, "refunds that nobody was told of", id)
	}
	if heard&(heard-1) != 0 {
		law.misses(j.settled, "orders told of with more ends than one", id)
	}
	if o.any(toldRefunded) && !o.any(refunded) {
		law.misses(j.settled, "customers told of a refund that there was not", id)
	}
}

// told judges what the customer heard of an order that ended in one way.
func (j *judging) told(o *order, end uint64, id string) {
	law := j.law(reports.NotifiedOnce)
	if !o.any(end) && !o.has(aside) {
		law.misses(j.settled, "ended orders that nobody was told of", id)
	}
	if o.any((toldConfirmed | toldRejected | toldCancelled | toldRefunded) &^ end) {
		law.misses(j.settled, "orders told of with another end than theirs", id)
	}
}

// orphan judges what is known of an order that has no row.
func (j *judging) orphan(o *order, id string) {
	law := j.law(reports.EffectsHaveOrders)
	heard := o.any(toldConfirmed | toldRejected | toldCancelled | toldRefunded | toldTwice)
	if o.first != 0 {
		law.misses(j.settled, "orders with a stock effect and no row", id)
	}
	if o.any(charged | declined | posted) {
		law.misses(j.settled, "orders with a charge and no row", id)
	}
	if heard {
		law.misses(j.settled, "orders with a notification and no row", id)
	}
	if o.any(created | decided | ended) {
		j.law(reports.EventsHaveRows).misses(j.settled, "orders with an event and no row", id)
	}
	known := heard || o.first != 0 || o.any(created|decided|ended|charged|declined|posted)
	if j.settled && !o.has(accepted) && known {
		j.sum.Unexpected++
	}
}

// judgeEvent judges one event by its facts.
func (j *judging) judgeEvent(e uint32) {
	id := func() string { return j.orders.name(int(e>>eventFlags) - 1) }
	switch {
	case e&promised != 0 && e&inTopic == 0 && e&marked != 0:
		j.law(reports.OutboxPublished).misses(j.settled, "events marked published and not in their topic", id())
	case e&promised != 0 && e&inTopic == 0:
		j.law(reports.OutboxPublished).misses(j.settled, "events never published", id())
	case e&promised == 0 && (j.OutboxOn || e&fromOrder == 0):
		j.law(reports.EventsHaveRows).misses(j.settled, "events without an outbox row", id())
	}
}

// judgeSKU judges one line of the stock.
func (j *judging) judgeSKU(name string, s *sku) {
	law, r := j.law(reports.StockConserved), s.row
	switch {
	case !s.known && (s.reserved != 0 || s.sold != 0):
		law.misses(j.whole, "SKUs that moved and have no row", name)
	case !s.known:
	case min(r.Initial, r.Available, r.Reserved, r.Sold) < 0:
		law.breaks("SKUs below zero", name)
	case r.Initial != r.Available+r.Reserved+r.Sold:
		law.breaks("SKUs that do not add up", name)
	case r.Reserved != s.reserved || r.Sold != s.sold:
		law.misses(j.settled, "SKUs that disagree with their movements", name)
	case r.Reserved != 0 && j.sum.Pending+j.sum.Parked == 0 && j.waiting == 0:
		law.misses(j.settled, "SKUs that stay reserved for nobody", name)
	}
}

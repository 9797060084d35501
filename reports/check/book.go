// Package check judges a run: what clients were told, against what the
// system's own books say. Feed a Book with the ledger and the audit, in any
// order, then Close it.
//
// The invariant: a law is broken only on evidence that no further reading
// could explain away, and held only if everything that could break it was
// read.
package check

import (
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"

	"github.com/ordbench/ordbench/loadgen"
	"github.com/ordbench/ordbench/system"
	"github.com/ordbench/ordbench/system/events"
)

// Options of a Book.
type Options struct {
	MaxEvidence int // ids kept for each law; 0 is 20
}

// Book takes the ledger and the audit row by row. It is a system.Auditor.
//
// It keeps some 150 to 200 bytes for each order with its rows and events, so that a
// million fit into a small machine: ids and keys are known by 64 bits of
// their hash. That two of a million meet is less likely than 1 in 10^7.
type Book struct {
	max  int
	seed maphash.Seed

	lines   uint64 // of the ledger
	orders  orders
	keys    table // idempotency key -> the order it made, keyFlags
	events  table // event id -> its order, eventFlags
	stock   map[string]*sku
	further table             // of orders, their SKUs beyond the first: the kinds of movements
	sides   map[uint64]side   // transactions that do not make zero, as far as they were read
	kinds   map[string]uint32 // of movements, beyond those that are known
	poor    []string          // dead letters that do not say enough
	groups  map[string]*group // of consumers
	inDoubt []doubt           // what waits for the end of a transaction over several services
	tally   tally
}

// tally counts what was read.
type tally struct {
	rows, movements, promised, inTopics, dead uint64
}

// side is what a transaction of the ledger lacks to zero.
type side struct {
	cents int64
	order int
}

// sku is one line of the stock, as it stands and as the movements tell it.
type sku struct {
	index          uint32
	known          bool // there is a row
	row            system.StockRow
	reserved, sold int64
}

// group is what one group of consumers had to do, and did.
type group struct {
	due, handled uint64
	given        map[string]bool // events given up, and not handled since
}

// readers are the groups that must handle an event, by its type.
var readers = map[string][]string{
	events.OrderCreated:      {events.InventoryGroup},
	events.InventoryReserved: {events.PaymentGroup},
	events.InventoryRejected: {events.OrderGroup, events.NotificationGroup},
	events.PaymentCaptured:   {events.OrderGroup, events.NotificationGroup, events.InventoryGroup},
	events.PaymentDeclined:   {events.OrderGroup, events.NotificationGroup, events.InventoryGroup},
	events.PaymentRefunded:   {events.NotificationGroup, events.InventoryGroup},
	events.OrderCancelled:    {events.PaymentGroup},
}

// The facts of a key, beside the order it made.
const (
	attempted = 1 << iota // with no more than this: certainly refused
	mayHappen             // an attempt without a certain answer
	happened              // an attempt that was accepted
	rowSeen               // an order row has it
	keyFlags  = iota
)

// The facts of an event, beside its order.
const (
	promised   = 1 << iota // an outbox row has it
	marked                 // and says that it was published
	inTopic                // it was found in its topic
	fromOrder              // it is the order service's
	eventFlags = iota
)

var _ system.Auditor = (*Book)(nil)

// NewBook returns an empty book.
func NewBook(o Options) *Book {
	if o.MaxEvidence == 0 {
		o.MaxEvidence = 20
	}
	return &Book{
		max:    o.MaxEvidence,
		seed:   maphash.MakeSeed(),
		stock:  map[string]*sku{},
		sides:  map[uint64]side{},
		groups: map[string]*group{},
		kinds:  map[string]uint32{"reserve": reserve, "release": release, "sell": sell, "reject": reject, "return": returning},
	}
}

// oddMix spreads numbers over 64 bits. It is odd, so that no two become one.
const oddMix = 0x9E3779B97F4A7C15

// errFull says that there are more orders than a Book has numbers for.
var errFull = errors.New("check: more than 134 million orders")

// Attempt adds a line of the ledger. Attempts under one key are one attempt,
// and the most that any of them was told counts.
func (b *Book) Attempt(a loadgen.Attempt) error {
	if a.Key == "" {
		return fmt.Errorf("check: attempt %d has no idempotency key", a.Seq)
	}
	b.lines++
	key := b.keys.at(b.hash(a.Key))
	*key |= attempted
	switch a.Certainty {
	case loadgen.Unknown:
		*key |= mayHappen
	case loadgen.Happened:
		*key |= happened
		if a.OrderID == "" {
			return nil
		}
		i, o, err := b.order(a.OrderID)
		if err != nil {
			return err
		}
		o.facts |= accepted
		b.own(key, i)
	}
	return nil
}

// Order adds a row of the order database.
func (b *Book) Order(r system.OrderRow) error {
	i, o, err := b.order(r.ID)
	if err != nil {
		return err
	}
	b.tally.rows++
	o.facts |= row | statusFact(r.Status)
	if r.Cancelled {
		o.facts |= withdrawn
	}
	if r.Key == "" {
		return nil
	}
	b.own(b.keys.at(b.hash(r.Key)), i)
	return nil
}

// own gives a key to an order. Where it has one already, both are marked:
// one key made two orders.
func (b *Book) own(key *uint32, i int) {
	owner := int(*key>>keyFlags) - 1
	switch {
	case owner < 0:
		*key |= uint32(i+1) << keyFlags
	case owner != i:
		b.orders.get(i).facts |= sharedKey | extra
		b.orders.get(owner).facts |= sharedKey
	}
}

// Movement adds a change of stock.
func (b *Book) Movement(m system.MovementRow) error {
	i, o, err := b.order(m.OrderID)
	if err != nil {
		return err
	}
	b.tally.movements++
	s := b.sku(m.SKU)
	kind := b.kind(m.Kind)
	if !b.firstTime(i, o, s.index, kind) {
		o.facts |= doubled
	}
	switch kind {
	case reserve:
		o.facts |= reserved
		s.reserved += m.Quantity
	case release:
		o.facts |= released
		s.reserved -= m.Quantity
	case sell:
		o.facts |= sold
		s.reserved -= m.Quantity
		s.sold += m.Quantity
	case returning:
		o.facts |= returned
		s.sold -= m.Quantity
	case reject:
		o.facts |= refused
	}
	return nil
}

// firstTime notes that an order moved a SKU in some way, and tells whether it
// had not done so before. Most orders have one SKU, which moves when it is
// reserved and when it is sold: that fits into the order itself.
func (b *Book) firstTime(i int, o *order, sku, kind uint32) bool {
	seen := uint32(1) << kind
	switch {
	case kind == reject: // an order is refused once, whatever it lacks
		if o.first == 0 {
			o.first = sku<<kindCount | seen
		}
		return !o.any(refused)
	case o.first == 0:
		o.first = sku<<kindCount | seen
		return true
	case o.first>>kindCount == sku:
		first := o.first&seen == 0
		o.first |= seen
		return first
	}
	further := b.further.at((uint64(i)<<32 | uint64(sku) + 1) * oddMix)
	first := *further&seen == 0
	*further |= seen
	return first
}

// Charge adds what the payment provider did to a customer's money.
func (b *Book) Charge(r system.ChargeRow) error {
	_, o, err := b.order(r.OrderID)
	if err != nil {
		return err
	}
	switch {
	case r.Outcome == "held":
		// It is neither yet; that it stays so is for InDoubt.
	case r.Outcome == "refunded" && o.has(refunded):
		o.facts |= refundedTwice
	case r.Outcome == "refunded":
		o.facts |= refunded
	case r.Outcome != "captured":
		o.facts |= declined
	case o.has(charged):
		o.facts |= chargedTwice
	default:
		o.facts |= charged
	}
	switch r.Outcome {
	case "captured":
		o.owed += uint32(r.Cents)
	case "refunded":
		o.owed -= uint32(r.Cents)
	}
	return nil
}

// Entry adds one side of a transaction in the ledger.
func (b *Book) Entry(r system.EntryRow) error {
	i, o, err := b.order(r.OrderID)
	if err != nil {
		return err
	}
	if r.Account == "provider" {
		o.owed -= uint32(r.Cents)
		once, twice := uint64(posted), uint64(postedTwice)
		if r.Cents < 0 {
			once, twice = postedBack, postedBackTwice
		}
		if o.has(once) {
			o.facts |= twice
		}
		o.facts |= once
	}
	// The sides of a transaction come one after the other, so that few are
	// open at a time.
	t := b.hash(r.Transaction)
	open := b.sides[t]
	if open.cents += r.Cents; open.cents == 0 {
		delete(b.sides, t)
		return nil
	}
	open.order = i
	b.sides[t] = open
	return nil
}

// tellings are the facts of notifications, by their kind.
var tellings = map[string]uint64{"refunded": toldRefunded, "confirmed": toldConfirmed, "rejected": toldRejected, "cancelled": toldCancelled}

// Notification adds what a customer was told.
func (b *Book) Notification(r system.NotificationRow) error {
	_, o, err := b.order(r.OrderID)
	if err != nil {
		return err
	}
	told := tellings[r.Kind]
	switch {
	case told == toldRefunded && o.has(told):
		told = toldRefundedTwice
	case told == 0 || o.has(told):
		told |= toldTwice
	}
	o.facts |= told
	return nil
}

// Stock adds the state of one SKU.
func (b *Book) Stock(r system.StockRow) error {
	s := b.sku(r.SKU)
	s.known, s.row = true, r
	return nil
}

// Outbox adds a promised event.
func (b *Book) Outbox(r system.OutboxRow) error {
	b.tally.promised++
	facts := uint32(promised)
	if r.Published {
		facts |= marked
	}
	_, err := b.event(r.EventID, r.Key, facts)
	return err
}

// Event adds a message of a topic.
func (b *Book) Event(r system.EventRow) error {
	b.tally.inTopics++
	facts := uint32(inTopic)
	if r.Type == events.OrderCreated || r.Type == events.OrderCancelled {
		facts |= fromOrder
	}
	if r.Type == system.Undecodable {
		return nil // no event at all: whoever reads it lays it aside
	}
	before := *b.events.at(b.hash(r.EventID)) & inTopic
	o, err := b.event(r.EventID, r.OrderID, facts)
	if err != nil {
		return err
	}
	if before == 0 {
		for _, name := range readers[r.Type] {
			b.group(name).due++
		}
	}
	switch r.Type {
	case events.OrderCreated:
		o.facts |= created
	case events.InventoryReserved:
		o.facts |= decided
	case events.PaymentCaptured:
		o.facts |= ended | captured
	case events.InventoryRejected, events.PaymentDeclined:
		o.facts |= ended
	case events.PaymentRefunded:
		// Within a topic events of one order are read in the order in which
		// they lie there. That of the first of each counts: what is published
		// again comes later.
		if !o.has(captured) {
			o.facts |= outOfOrder
		}
	}
	return nil
}

// Inbox adds how much a group has handled.
func (b *Book) Inbox(r system.InboxRow) error {
	b.group(r.Group).handled += r.Seen
	return nil
}

// DeadLetter adds a message that a group has given up.
func (b *Book) DeadLetter(d system.DeadLetter) error {
	var lacks []string
	for what, there := range map[string]bool{"key": d.Key != "", "cause": d.Cause != "", "origin": d.Origin != "", "attempts": d.Attempts > 0} {
		if !there {
			lacks = append(lacks, what)
		}
	}
	if len(lacks) > 0 {
		slices.Sort(lacks)
		b.poor = append(b.poor, fmt.Sprintf("%s lacks its %s", d.ID, strings.Join(lacks, ", ")))
	}
	b.tally.dead++
	if d.Handled || d.Redriven {
		return nil
	}
	if d.EventID != "" {
		b.group(d.Group).given[d.EventID] = true
	}
	// A key that is no order's makes none.
	if place := b.orders.numbers.at(b.hash(d.Key)); *place != 0 {
		b.orders.get(int(*place) - 1).facts |= aside
	}
	return nil
}

// doubt is one part of a transaction that waits for its end.
type doubt struct{ what, name string }

// InDoubt adds a part of a transaction that waits for its end.
func (b *Book) InDoubt(r system.InDoubtRow) error {
	b.inDoubt = append(b.inDoubt, doubt{"transactions in doubt at " + r.Owner + ": " + r.What, r.Name})
	return nil
}

func (b *Book) group(name string) *group {
	g := b.groups[name]
	if g == nil {
		g = &group{given: map[string]bool{}}
		b.groups[name] = g
	}
	return g
}

func (b *Book) event(id, orderID string, facts uint32) (*order, error) {
	if id == "" {
		return nil, fmt.Errorf("check: an event of order %q has no id", orderID)
	}
	i, o, err := b.order(orderID)
	if err != nil {
		return nil, err
	}
	e := b.events.at(b.hash(id))
	if *e>>eventFlags == 0 {
		*e |= uint32(i+1) << eventFlags
	}
	*e |= facts
	return o, nil
}

func (b *Book) order(id string) (int, *order, error) {
	i, ok := b.orders.intern(b.hash(id), id)
	if !ok {
		return 0, nil, errFull
	}
	return i, b.orders.get(i), nil
}

func (b *Book) sku(name string) *sku {
	s := b.stock[name]
	if s == nil {
		s = &sku{index: uint32(len(b.stock))}
		b.stock[name] = s
	}
	return s
}

func (b *Book) kind(name string) uint32 {
	k, ok := b.kinds[name]
	if !ok {
		k = min(uint32(len(b.kinds)+1), 1<<kindBits-1)
		b.kinds[name] = k
	}
	return k
}

// hash is never 0, which a table keeps for its empty places.
func (b *Book) hash(s string) uint64 { return max(1, maphash.String(b.seed, s)) }

// Package check judges a run: what clients were told, against what the
// system's own books say. Feed a Book with the ledger and the audit, in any
// order, then Close it.
//
// The invariant: a law is broken only on evidence that no further reading
// could explain away, and held only if everything that could break it was
// read.
package check

import (
	"github.com/ordbench/ordbench/loadgen"
	"github.com/ordbench/ordbench/reports"
	"github.com/ordbench/ordbench/system"
)

// Options of a Book.
type Options struct {
	MaxEvidence int // ids kept for each law; 0 is 20
}

// Closing says how the reading ended.
type Closing struct {
	// Drained: at the time of the audit there was no lag and no unpublished
	// outbox row. Orders that are PENDING do not count against it: with
	// nothing left in flight they will never end.
	Drained bool
	// HaveLedger: there is a ledger of attempts. Without one (a stack that
	// strangers used) the laws about clients are left out.
	HaveLedger bool
	// LedgerErr and AuditErr end the reading early: what is missing then
	// proves nothing.
	LedgerErr, AuditErr error
	// Attempts is how many lines the ledger must have; 0 is not checked.
	Attempts uint64
	// OutboxOn: the order service publishes through its outbox.
	OutboxOn bool
	// InboxOn: consumers drop what they have seen.
	InboxOn bool
}

// Judgement is what a Book comes to.
type Judgement struct {
	Orders     reports.Orders
	Invariants []reports.Invariant
}

// Book takes the ledger and the audit row by row. It is a system.Auditor.
type Book struct {
	max int
}

var _ system.Auditor = (*Book)(nil)

// NewBook returns an empty book.
func NewBook(o Options) *Book { return &Book{max: o.MaxEvidence} }

// Attempt adds a line of the ledger.
func (b *Book) Attempt(a loadgen.Attempt) error { return nil }

// Order adds a row of the order database.
func (b *Book) Order(system.OrderRow) error { return nil }

// Movement adds a change of stock.
func (b *Book) Movement(system.MovementRow) error { return nil }

// Stock adds the state of one SKU.
func (b *Book) Stock(system.StockRow) error { return nil }

// Outbox adds a promised event.
func (b *Book) Outbox(system.OutboxRow) error { return nil }

// Event adds a message of a topic.
func (b *Book) Event(system.EventRow) error { return nil }

// Close judges what was read.
func (b *Book) Close(Closing) Judgement { return Judgement{} }

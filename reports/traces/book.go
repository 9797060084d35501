// Package traces judges the traces of a run. Give a Book the spans as they
// arrive, with Take, and then every order of the books, with Order; Close
// says how many orders have a whole tree, where their time went and which
// were the slowest. What arrives is kept, and read once somebody asks.
//
// The invariant: a tree is whole only if it was seen to be. Its root is the
// request at the gateway, the parent of every other span is in it, and it has
// each step that brings an order to the status in which the books have it. An
// order whose trace was not followed, for want of room, is not whole.
package traces

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/ordbench/ordbench/reports"
	"github.com/ordbench/ordbench/system/events"
	"github.com/ordbench/ordbench/system/telemetry"
	"github.com/ordbench/ordbench/system/telemetry/otlp"
	"github.com/ordbench/ordbench/system/telemetry/spool"
)

const (
	// quiet is how long nothing must have come of a whole tree before its
	// spans are let go: what a kill makes come again is there by then.
	quiet = 10 * time.Second
	// sweepEvery is the time between looks at what can be let go.
	sweepEvery = 3 * time.Second
	// mostFollowed bounds the trees that are held in full, at some 800
	// bytes each.
	mostFollowed = 200_000
	// mostSpans bounds the spans of one tree: more are a loop, not an order.
	mostSpans = 1000
)

// Options say what a Book may expect.
type Options struct {
	Now     func() time.Time // nil: time.Now
	Slowest int              // how many orders are kept with their spans
	Ways    io.Writer        // gets a line of CSV for each whole tree, WaysHeader first; nil: nothing
	Sample  float64          // share of the requests that are traced, 0 to 1
	// Inline says that the order service calls the others itself: a tree
	// then has no steps that messages would begin.
	Inline bool
}

// Book follows the traces of orders. Its methods may be called from any
// goroutine.
type Book struct {
	opts Options
	kept backlog

	mu       sync.Mutex
	scanner  otlp.Scanner
	words    words
	open     map[otlp.TraceID]*tree
	whole    map[otlp.TraceID]orderID // let go
	byOrder  map[orderID]otlp.TraceID // made for the judgement
	swept    time.Time
	hops     hops
	slowest  slowest
	verdict  reports.Traces
	unfollow uint64
	line     []byte // of Ways
	waysErr  error
}

// orderID is a UUID, which is all that orders are called.
type orderID [16]byte

// NewBook makes an empty book.
func NewBook(opts Options) *Book {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &Book{
		opts:    opts,
		kept:    backlog{most: mostKept},
		words:   newWords(),
		open:    map[otlp.TraceID]*tree{},
		whole:   map[otlp.TraceID]orderID{},
		swept:   opts.Now(),
		hops:    hops{},
		slowest: slowest{most: opts.Slowest},
		verdict: reports.Traces{Hops: []reports.TraceHop{}, Slowest: []reports.SlowOrder{}, Incomplete: []reports.IncompleteTrace{}},
	}
}

// Take keeps an export request, of OTLP or packed, which nobody may change any
// more. It reads the oldest, if there are too many.
func (b *Book) Take(request []byte) {
	if tooMany := b.kept.keep(request, b.opts.Now()); len(tooMany) > 0 {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.read(tooMany)
	}
}

// read files the spans of requests, as of when they came.
func (b *Book) read(requests []arrival) {
	for i, r := range requests {
		if err := b.readOne(r); err != nil {
			b.verdict.Unreadable++
		}
		if r.at.Sub(b.swept) >= sweepEvery {
			b.swept = r.at
			b.sweep(r.at)
		}
		requests[i] = arrival{} // it may be the last that holds the bytes
	}
}

func (b *Book) readOne(r arrival) error {
	scan := func(request []byte) error {
		rejected, err := b.scanner.Scan(request, func(from *otlp.Resource, s *otlp.Span) error {
			b.verdict.Spans++
			b.take(from, s, r.at)
			return nil
		})
		b.verdict.Rejected += uint64(rejected)
		return err
	}
	if spool.IsPacked(r.request) {
		return spool.Unpack(r.request, func(head, spans []byte) error { return scan(append(head, spans...)) })
	}
	return scan(r.request)
}

// take files one span.
func (b *Book) take(r *otlp.Resource, s *otlp.Span, now time.Time) {
	entry := span{
		id: number(s.ID), parent: number(s.Parent),
		start: int64(s.Start), end: int64(s.End),
		name: b.words.of(s.Name), service: b.words.of(r.Text("service.name")), instance: b.words.of(r.Text("service.instance.id")),
		kind: uint8(s.Kind), failed: s.Status == otlp.StatusError,
		interrupted: s.Int(telemetry.AttrInterrupted) != 0,
	}
	if entry.interrupted {
		b.verdict.Interrupted++
	}
	if s.Kind == otlp.Producer && len(s.Links) > 0 {
		for _, l := range s.Links {
			entry.parent, entry.linked = number(l.ID), true
			b.file(l.TraceID, entry, now)
		}
		return
	}
	if string(s.Text("http.request.method")) == "GET" {
		return // a look at an order is no part of it
	}
	entry.step = stepOf(s, b.words.list[entry.service])
	t := b.file(s.TraceID, entry, now)
	if t == nil {
		return
	}
	if s.Int(telemetry.AttrReplayed) != 0 {
		t.replay = true
	}
	if entry.step == ended {
		t.status = statuses[string(s.Text(telemetry.AttrEvent))]
	}
	if id, ok := parseOrderID(s.Text(telemetry.AttrOrder)); ok {
		t.order = id
	}
}

// file adds a span to its tree; nil if the tree is not followed, or not any
// more.
func (b *Book) file(id otlp.TraceID, s span, now time.Time) *tree {
	t := b.open[id]
	if t == nil {
		if _, gone := b.whole[id]; gone {
			b.verdict.Late++
			return nil
		}
		if len(b.open) >= mostFollowed {
			b.sweep(now)
			if len(b.open) >= mostFollowed {
				b.unfollow++
				return nil
			}
		}
		t = &tree{}
		b.open[id] = t
	}
	t.touched = now
	t.add(s)
	return t
}

// sweep lets go of what needs no more watching: whole trees, and those of
// requests that made no order.
func (b *Book) sweep(now time.Time) {
	for id, t := range b.open {
		switch {
		case now.Sub(t.touched) < quiet:
		case t.replay, t.order == orderID{}:
			delete(b.open, id)
		case len(t.gaps(t.status, b.opts.Inline)) == 0:
			b.account(id, t, t.status)
			b.whole[id] = t.order
			delete(b.open, id)
		}
	}
}

// account adds a whole tree to the figures.
func (b *Book) account(id otlp.TraceID, t *tree, status string) {
	path := t.path(&b.words)
	for _, h := range path {
		b.hops.add(h)
	}
	b.write(id, t, status, path)
	b.slowest.offer(t.took(), func() reports.SlowOrder { return t.report(id, status, path, &b.words) })
}

// Order judges the tree of one order of the books, by the status that it has
// there, or for "" by the one that its own spans tell of. No more spans are
// expected by then.
func (b *Book) Order(id, status string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.read(b.kept.empty())
	b.index()
	key, ok := parseOrderID([]byte(id))
	trace, traced := b.byOrder[key]
	if !traced && b.opts.Sample < 1 {
		return // it need not have a trace
	}
	b.verdict.Orders++
	var gaps []string
	switch t := b.open[trace]; {
	case !ok || !traced:
		gaps = []string{"no span of it was seen"}
	case t == nil: // let go as whole
	default:
		if status == "" {
			status = t.status
		}
		if gaps = t.gaps(status, b.opts.Inline); len(gaps) == 0 {
			b.account(trace, t, status)
		}
	}
	if len(gaps) == 0 {
		b.verdict.Complete++
		return
	}
	if len(b.verdict.Incomplete) < mostIncomplete {
		gap := reports.IncompleteTrace{OrderID: id, Status: status, Missing: gaps}
		if traced {
			gap.TraceID = hex.EncodeToString(trace[:])
		}
		b.verdict.Incomplete = append(b.verdict.Incomplete, gap)
	}
}

// mostIncomplete is how many torn trees are named.
const mostIncomplete = 20

// index finds the trace of each order, once.
func (b *Book) index() {
	if b.byOrder != nil {
		return
	}
	b.byOrder = make(map[orderID]otlp.TraceID, len(b.whole)+len(b.open))
	for id, order := range b.whole {
		b.byOrder[order] = id
	}
	for id, t := range b.open {
		if t.replay || t.order == (orderID{}) {
			continue
		}
		// A piece that was torn off is a trace of the order too. The order's
		// own is the one in which it was placed.
		if _, taken := b.byOrder[t.order]; !taken || t.has(placed) {
			b.byOrder[t.order] = id
		}
	}
}

// Waiting is how many trees of orders are not whole yet.
func (b *Book) Waiting() (waiting int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.read(b.kept.empty())
	for _, t := range b.open {
		if !t.replay && t.order != (orderID{}) && len(t.gaps(t.status, b.opts.Inline)) > 0 {
			waiting++
		}
	}
	return waiting
}

// Close is the judgement.
func (b *Book) Close() *reports.Traces {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.read(b.kept.empty())
	v := b.verdict
	v.Sample = b.opts.Sample
	v.Unfollowed = b.unfollow
	if v.Orders > 0 {
		v.CompleteShare = float64(v.Complete) / float64(v.Orders)
	}
	v.Hops = b.hops.report()
	v.Slowest = b.slowest.report()
	return &v
}

func parseOrderID(text []byte) (id orderID, ok bool) {
	if len(text) != 36 {
		return orderID{}, false
	}
	var plain [2 * len(id)]byte
	n := 0
	for _, c := range text {
		if c == '-' {
			continue
		}
		if n == len(plain) {
			return orderID{}, false
		}
		plain[n] = c
		n++
	}
	n, err := hex.Decode(id[:], plain[:n])
	return id, err == nil && n == len(id)
}

// number is a span id as a map key and as a word of a struct.
func number(id otlp.SpanID) (n uint64) {
	for _, c := range id {
		n = n<<8 | uint64(c)
	}
	return n
}

// words keeps each text once: spans have few.
type words struct {
	list  []string
	index map[string]uint16
}

func newWords() words { return words{list: []string{""}, index: map[string]uint16{"": 0}} }

// of is the number of a text; 0, the empty text, if there are too many.
func (w *words) of(text []byte) uint16 {
	if n, ok := w.index[string(text)]; ok {
		return n
	}
	if len(w.list) > 60_000 {
		return 0
	}
	n := uint16(len(w.list))
	w.list = append(w.list, string(text))
	w.index[w.list[n]] = n
	return n
}

// step is one of the steps that bring an order to its end.
type step uint8

// The steps, as bits.
const (
	entered  step = 1 << iota // the gateway was asked
	placed                    // the order service wrote it down
	reserved                  // the inventory decided
	charged                   // the payment was decided
	ended                     // the order service wrote down how it ended
	settled                   // the inventory sold it, or took it back
	told                      // the customer was told
)

var stepNames = []struct {
	step step
	name string
}{
	{entered, "the request at the gateway"}, {placed, "the order service placing it"}, {reserved, "the inventory's answer"},
	{charged, "the payment"}, {ended, "the order service ending it"}, {settled, "the inventory's sale or release"}, {told, "the notification"},
}

// stepOf is the step that a span is, 0 if it is none. A step that failed is
// none: it is taken again.
func stepOf(s *otlp.Span, service string) step {
	if s.Kind == otlp.Server {
		switch {
		case string(s.Name) != "POST /orders":
			return 0
		case service == "gateway":
			return entered
		}
		return placed
	}
	if s.Kind != otlp.Consumer || s.Status == otlp.StatusError {
		return 0
	}
	group, event := s.Text("messaging.consumer.group.name"), s.Text(telemetry.AttrEvent)
	switch string(group) {
	case events.InventoryGroup:
		if string(event) == events.OrderCreated {
			return reserved
		}
		return settled
	case events.PaymentGroup:
		return charged
	case events.OrderGroup:
		return ended
	case events.NotificationGroup:
		return told
	}
	return 0
}

// statuses are the ends of orders, by the events that bring them about.
var statuses = map[string]string{
	events.PaymentCaptured:   "CONFIRMED",
	events.PaymentDeclined:   "CANCELLED",
	events.InventoryRejected: "REJECTED",
}

// stepsTo are the steps to a status.
func stepsTo(status string) (step, error) {
	switch status {
	case "CONFIRMED", "CANCELLED":
		return entered | placed | reserved | charged | ended | settled | told, nil
	case "REJECTED":
		return entered | placed | reserved | ended | told, nil
	case "PARKED":
		return entered | placed, nil
	}
	return entered | placed, fmt.Errorf("the order's end: it is %s", cmp.Or(status, "PENDING"))
}

package traces

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ordbench/ordbench/reports"
	"github.com/ordbench/ordbench/system/events"
	"github.com/ordbench/ordbench/system/telemetry"
	"github.com/ordbench/ordbench/system/telemetry/otlp"
	"github.com/ordbench/ordbench/system/telemetry/spool"
)

// fact is a span of an order, as a row of a test.
type fact struct {
	service     string
	id, parent  byte
	kind        otlp.Kind
	name        string
	group       string
	event       string
	from, to    int // milliseconds
	failed      bool
	interrupted bool
	link        byte // of a batch: the span it is linked to
}

// confirmed is an order that went well, 100 ms to its end.
func confirmed() []fact {
	return []fact{
		{service: "gateway", id: 1, kind: otlp.Server, name: "POST /orders", from: 0, to: 12},
		{service: "gateway", id: 2, parent: 1, kind: otlp.Client, name: "POST", from: 1, to: 11},
		{service: "order", id: 3, parent: 2, kind: otlp.Server, name: "POST /orders", from: 2, to: 10},
		{service: "order", id: 101, kind: otlp.Producer, name: "send orders-topic", link: 3, from: 13, to: 15},
		{service: "inventory", id: 4, parent: 3, kind: otlp.Consumer, name: "process orders-topic", group: events.InventoryGroup, event: events.OrderCreated, from: 45, to: 50},
		{service: "inventory", id: 102, kind: otlp.Producer, name: "send inventory-topic", link: 4, from: 51, to: 52},
		{service: "payment", id: 5, parent: 4, kind: otlp.Consumer, name: "process inventory-topic", group: events.PaymentGroup, event: events.InventoryReserved, from: 60, to: 80},
		{service: "payment", id: 103, kind: otlp.Producer, name: "send payment-topic", link: 5, from: 79, to: 82},
		{service: "order", id: 6, parent: 5, kind: otlp.Consumer, name: "process payment-topic", group: events.OrderGroup, event: events.PaymentCaptured, from: 90, to: 100},
		{service: "inventory", id: 7, parent: 5, kind: otlp.Consumer, name: "process payment-topic", group: events.InventoryGroup, event: events.PaymentCaptured, from: 90, to: 104},
		{service: "notification", id: 8, parent: 5, kind: otlp.Consumer, name: "process payment-topic", group: events.NotificationGroup, event: events.PaymentCaptured, from: 95, to: 140},
	}
}

// rejected is an order for which there was no stock.
func rejected() []fact {
	f := confirmed()[:6:6]
	return append(f,
		fact{service: "order", id: 6, parent: 4, kind: otlp.Consumer, name: "process inventory-topic", group: events.OrderGroup, event: events.InventoryRejected, from: 60, to: 70},
		fact{service: "notification", id: 8, parent: 4, kind: otlp.Consumer, name: "process inventory-topic", group: events.NotificationGroup, event: events.InventoryRejected, from: 60, to: 70},
	)
}

const order = "01a20401-809c-7cb9-a7eb-625f43bc8b1d"

func traceOf(n int) (id otlp.TraceID) {
	binary.BigEndian.PutUint64(id[:], uint64(n))
	return id
}

// export is a request with one span.
func export(trace otlp.TraceID, orderID string, f fact, attributes ...string) []byte {
	return envelope(f.service, element(trace, orderID, f, attributes...))
}

// envelope is a request with a list of spans of one service.
func envelope(service string, list []byte) []byte {
	resource := otlp.AppendText(nil, otlp.OfResource, "service.name", service)
	resource = otlp.AppendText(resource, otlp.OfResource, "service.instance.id", service+"-0")
	return append(otlp.AppendRequest(nil, resource, "", "", len(list)), list...)
}

// element is a span as part of a list.
func element(trace otlp.TraceID, orderID string, f fact, attributes ...string) []byte {
	nanos := func(ms int) uint64 { return uint64(1e18) + uint64(ms)*1e6 }
	own := trace
	if f.link != 0 {
		own = otlp.TraceID{0xff, f.id}
	}
	var parent otlp.SpanID
	if f.parent != 0 {
		parent = otlp.SpanID{f.parent}
	}
	span := otlp.AppendName(otlp.AppendStart(nil, own, otlp.SpanID{f.id}, parent, nanos(f.from)), f.name, f.kind)
	if f.group != "" {
		span = otlp.AppendText(span, otlp.OfSpan, "messaging.consumer.group.name", f.group)
		span = otlp.AppendText(span, otlp.OfSpan, telemetry.AttrEvent, f.event)
	}
	if f.group != "" || f.service == "order" && f.kind == otlp.Server {
		span = otlp.AppendText(span, otlp.OfSpan, telemetry.AttrOrder, orderID)
	}
	for _, a := range attributes {
		span = otlp.AppendBool(span, otlp.OfSpan, a, true)
	}
	if f.interrupted {
		span = otlp.AppendBool(span, otlp.OfSpan, telemetry.AttrInterrupted, true)
	}
	if f.link != 0 {
		span = otlp.AppendLink(span, otlp.Link{TraceID: trace, ID: otlp.SpanID{f.link}})
	}
	status := int32(0)
	if f.failed || f.interrupted {
		status = otlp.StatusError
	}
	return otlp.AppendSpan(nil, otlp.AppendStatus(otlp.AppendEnd(span, nanos(f.to)), status, ""))
}

func take(t testing.TB, b *Book, request []byte) {
	t.Helper()
	b.Take(request)
	b.read(b.kept.empty())
	if v := b.verdict; v.Rejected != 0 || v.Unreadable != 0 {
		t.Fatalf("%d rejected, %d unreadable", v.Rejected, v.Unreadable)
	}
}

func without(f []fact, ids ...byte) []fact {
	return slices.DeleteFunc(f, func(f fact) bool { return slices.Contains(ids, f.id) })
}

func TestTreeIsWholeOnlyWithEveryStepAndEveryParent(t *testing.T) {
	again := fact{service: "inventory", id: 14, parent: 3, kind: otlp.Consumer, name: "process orders-topic", group: events.InventoryGroup, event: events.OrderCreated, from: 300, to: 301}
	cut := func(f []fact, id byte) []fact {
		for i := range f {
			if f[i].id == id {
				f[i].interrupted = true
			}
		}
		return f
	}
	failed := func(f []fact, id byte) []fact {
		for i := range f {
			if f[i].id == id {
				f[i].failed = true
			}
		}
		return f
	}
	for _, row := range []struct {
		name   string
		spans  []fact
		status string
		inline bool
		want   []string // gaps
	}{
		{"confirmed", confirmed(), "CONFIRMED", false, nil},
		{"cancelled, in the same steps", confirmed(), "CANCELLED", false, nil},
		{"rejected", rejected(), "REJECTED", false, nil},
		{"without the spans of batches", without(confirmed(), 101, 102, 103), "CONFIRMED", false, nil},
		{"parked before anybody answered", confirmed()[:4], "PARKED", false, nil},
		{"parked with a torn tree", without(confirmed(), 3)[:4], "PARKED", false, []string{
			"the order service placing it", "span 0300000000000000, the parent of 6500000000000000", "span 0300000000000000, the parent of 0400000000000000",
		}},
		{"pending", confirmed()[:4], "PENDING", false, []string{"the order's end: it is PENDING"}},
		{"the inventory's span is lost", without(confirmed(), 4), "CONFIRMED", false, []string{
			"the inventory's answer", "span 0400000000000000, the parent of 6600000000000000", "span 0400000000000000, the parent of 0500000000000000",
		}},
		{"a leaf is lost", without(confirmed(), 8), "CONFIRMED", false, []string{"the notification"}},
		{"the gateway's call is lost", without(confirmed(), 2), "CONFIRMED", false, []string{"span 0200000000000000, the parent of 0300000000000000"}},
		{"the root is lost", without(confirmed(), 1), "CONFIRMED", false, []string{"the request at the gateway", "span 0100000000000000, the parent of 0200000000000000"}},
		{"killed after the commit, and delivered again", append(cut(confirmed(), 4), again), "CONFIRMED", false, nil},
		{"killed after the commit, and not delivered again", cut(confirmed(), 4), "CONFIRMED", false, []string{"the inventory's answer"}},
		{"failed, and tried again", append(failed(confirmed(), 4), again), "CONFIRMED", false, nil},
		{"rejected in the books, confirmed by its trace", confirmed(), "REJECTED", false, nil},
		{"confirmed in the books, rejected by its trace", rejected(), "CONFIRMED", false, []string{"the payment", "the inventory's sale or release"}},
		{"called in line", confirmed()[:3], "CONFIRMED", true, nil},
		{"no span at all", nil, "CONFIRMED", false, []string{"no span of it was seen"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := NewBook(Options{Sample: 1, Slowest: 3, Inline: row.inline})
			for _, f := range slices.Backward(row.spans) { // children come before their parents
				take(t, b, export(traceOf(1), order, f))
			}
			b.Order(order, row.status)
			v := b.Close()
			var got []string
			if len(v.Incomplete) > 0 {
				got = v.Incomplete[0].Missing
				slices.Sort(got)
				if v.Incomplete[0].OrderID != order {
					t.Errorf("named %+v", v.Incomplete[0])
				}
			}
			slices.Sort(row.want)
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("gaps (-want +got):\n%s", diff)
			}
			if whole := len(row.want) == 0; v.Orders != 1 || (v.Complete == 1) != whole || (v.CompleteShare == 1) != whole {
				t.Errorf("%d of %d orders complete, share %g", v.Complete, v.Orders, v.CompleteShare)
			}
		})
	}
}

func TestWayOfAnOrderAddsUp(t *testing.T) {
	b := NewBook(Options{Sample: 1, Slowest: 3})
	for _, f := range confirmed() {
		take(t, b, export(traceOf(1), order, f))
	}
	b.Order(order, "CONFIRMED")
	v := b.Close()
	if len(v.Slowest) != 1 {
		t.Fatalf("slowest: %+v", v.Slowest)
	}
	slow := v.Slowest[0]
	want := []reports.SlowHop{
		{Name: "gateway", MS: 2}, {Name: "order", MS: 8},
		{Name: "order outbox", MS: 3}, {Name: "order publish", MS: 2}, {Name: "inventory queue", MS: 30}, {Name: "inventory", MS: 5},
		{Name: "inventory outbox", MS: 1}, {Name: "inventory publish", MS: 1}, {Name: "payment queue", MS: 8}, {Name: "payment", MS: 20},
		// The relay was faster than the end of the batch.
		{Name: "payment publish", MS: 2}, {Name: "order end queue", MS: 8}, {Name: "order end", MS: 10},
	}
	if diff := cmp.Diff(want, slow.Hops); diff != "" {
		t.Errorf("hops (-want +got):\n%s", diff)
	}
	if slow.DurationMS != 100 || slow.OrderID != order || slow.TraceID != "00000000000000010000000000000000" || slow.Status != "CONFIRMED" {
		t.Errorf("%+v", slow)
	}
	if len(slow.Spans) != 11 || slow.Spans[0].Name != "POST /orders" || slow.Spans[10].Name != "process payment-topic" || slow.Spans[10].Replica != "notification-0" {
		t.Errorf("spans %+v", slow.Spans)
	}
	var names []string
	share := 0.0
	for _, h := range v.Hops {
		names = append(names, h.Name)
		share += h.Share
	}
	if share < 0.999 || share > 1.001 || !slices.Contains(names, "inventory queue") {
		t.Errorf("hops %v have %g of the time", names, share)
	}
	for _, h := range want {
		if !slices.Contains(wayNames, h.Name) {
			t.Errorf("%q would not be reported", h.Name)
		}
	}
}

func TestTheSameSpanTwiceIsOne(t *testing.T) {
	b := NewBook(Options{Sample: 1, Slowest: 1})
	for _, f := range confirmed() {
		cut := f
		cut.interrupted, cut.to = f.link == 0, f.to+50
		take(t, b, export(traceOf(1), order, cut)) // recovered by one
		take(t, b, export(traceOf(1), order, f))   // and sent by another
		take(t, b, export(traceOf(1), order, cut))
	}
	b.Order(order, "CONFIRMED")
	v := b.Close()
	if v.Complete != 1 || len(v.Slowest[0].Spans) != 11 || v.Slowest[0].DurationMS != 100 || v.Slowest[0].Spans[4].Interrupted {
		t.Errorf("%+v", v)
	}
}

func TestReplayDoesNotHideTheOrdersOwnTrace(t *testing.T) {
	b := NewBook(Options{Sample: 1})
	for _, f := range confirmed() {
		take(t, b, export(traceOf(1), order, f))
	}
	for _, f := range confirmed()[:3] {
		if f.service == "order" {
			take(t, b, export(traceOf(2), order, f, telemetry.AttrReplayed))
		} else {
			take(t, b, export(traceOf(2), order, f))
		}
	}
	// A piece that lost its parent began a trace of its own.
	take(t, b, export(traceOf(3), order, fact{service: "notification", id: 9, kind: otlp.Consumer, group: events.NotificationGroup, event: events.PaymentCaptured}))
	b.Order(order, "CONFIRMED")
	if v := b.Close(); v.Complete != 1 {
		t.Errorf("%+v", v.Incomplete)
	}
}

func TestWhatIsWholeIsLetGoAndRemembered(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	b := NewBook(Options{Sample: 1, Slowest: 2, Now: func() time.Time { return now }})
	name := func(n int) string { return fmt.Sprintf("01a20401-809c-7cb9-a7eb-%012d", n) }
	const orders = 500
	for n := range orders {
		list := confirmed()
		list[8].to += n // the order's end: the later ones are slower
		for _, f := range list {
			take(t, b, export(traceOf(n+1), name(n), f))
		}
	}
	torn := export(traceOf(9000), name(9000), confirmed()[2])
	take(t, b, torn)
	now = now.Add(quiet)
	take(t, b, torn) // any span makes it look
	if len(b.open) != 1 || len(b.whole) != orders {
		t.Fatalf("%d open, %d let go", len(b.open), len(b.whole))
	}
	if b.Waiting() != 1 {
		t.Errorf("%d are waited for, want the torn one", b.Waiting())
	}
	take(t, b, export(traceOf(3), name(2), confirmed()[9])) // after all: a redelivery
	for n := range orders {
		b.Order(name(n), "CONFIRMED")
	}
	b.Order(name(9000), "CONFIRMED")
	v := b.Close()
	if v.Orders != orders+1 || v.Complete != orders || v.Late != 1 {
		t.Errorf("%d of %d complete, %d late", v.Complete, v.Orders, v.Late)
	}
	if len(v.Slowest) != 2 || v.Slowest[0].OrderID != name(orders-1) || v.Slowest[1].OrderID != name(orders-2) {
		t.Errorf("slowest %+v", v.Slowest)
	}
	if v.Hops[0].Count != orders {
		t.Errorf("%d orders in the hops", v.Hops[0].Count)
	}
}

func TestRequestsWithoutAnOrderAreForgotten(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	b := NewBook(Options{Sample: 1, Now: func() time.Time { return now }})
	take(t, b, export(traceOf(1), "", confirmed()[0])) // refused by the rate limit, say
	now = now.Add(quiet)
	take(t, b, export(traceOf(2), "", confirmed()[0]))
	if len(b.open) != 1 {
		t.Errorf("%d open", len(b.open))
	}
}

func TestWhatArrivesIsReadOnceSomebodyAsks(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	b := NewBook(Options{Sample: 1, Now: func() time.Time { return now }})
	for _, f := range confirmed() {
		b.Take(export(traceOf(1), order, f))
	}
	nameless := export(otlp.TraceID{}, order, confirmed()[0])
	b.Take(nameless)
	b.Take(nameless[:len(nameless)-1])
	now = now.Add(quiet)
	if b.verdict.Spans != 0 {
		t.Errorf("%d spans were read before anybody asked", b.verdict.Spans)
	}
	b.Order(order, "CONFIRMED")
	if v := b.Close(); v.Complete != 1 || v.Rejected == 0 || v.Unreadable != 1 {
		t.Errorf("%d complete, %d rejected, %d unreadable", v.Complete, v.Rejected, v.Unreadable)
	}
}

// Services send their spans packed.
func TestPackedSpansAreReadToo(t *testing.T) {
	b := NewBook(Options{Sample: 1})
	for _, f := range confirmed() {
		resource := otlp.AppendText(nil, otlp.OfResource, "service.name", f.service)
		box, err := spool.Open("", "", resource, nil)
		if err != nil {
			t.Fatal(err)
		}
		var own otlp.Span // what of the element a record has
		var scanner otlp.Scanner
		whole := export(traceOf(1), order, f)
		if _, err := scanner.Scan(whole, func(_ *otlp.Resource, s *otlp.Span) error { own = *s; return nil }); err != nil {
			t.Fatal(err)
		}
		fields := otlp.AppendName(nil, f.name, f.kind)
		for _, a := range own.Attributes {
			fields = otlp.AppendText(fields, otlp.OfSpan, string(a.Key), string(a.Text))
		}
		for _, l := range own.Links {
			fields = otlp.AppendLink(fields, l)
		}
		box.Finish(own.End, nil, []spool.Span{{
			Record: spool.Record{TraceID: own.TraceID, ID: own.ID, Parent: own.Parent, Start: own.Start}, Own: spool.AppendFields(nil, fields),
		}})
		var packed []byte
		if err := box.DrainPacked(func(head, spans []byte) error { packed = slices.Concat(head, spans); return nil }); err != nil {
			t.Fatal(err)
		}
		b.Take(packed)
		b.Take(packed[:len(packed)-1])
		if err := box.Close(); err != nil {
			t.Fatal(err)
		}
	}
	b.Order(order, "CONFIRMED")
	if v := b.Close(); v.Complete != 1 || v.Unreadable != uint64(len(confirmed())) {
		t.Errorf("%d complete, %d unreadable, %v", v.Complete, v.Unreadable, v.Incomplete)
	}
}

func TestTheOldestIsReadWhereThereIsNoRoom(t *testing.T) {
	b := NewBook(Options{Sample: 1})
	request := export(traceOf(1), order, confirmed()[0])
	b.kept.most = 10 * len(request)
	for n := range 25 {
		b.Take(export(traceOf(n+1), order, confirmed()[0]))
	}
	if b.verdict.Spans != 15 || len(b.kept.requests) != 10 || b.kept.size != b.kept.most {
		t.Errorf("%d spans read, %d requests of %d bytes kept", b.verdict.Spans, len(b.kept.requests), b.kept.size)
	}
	if b.open[traceOf(15)] == nil || b.open[traceOf(16)] != nil {
		t.Error("not the oldest were read")
	}
	if b.Waiting(); b.verdict.Spans != 25 || b.kept.size != 0 {
		t.Errorf("%d spans read in the end, %d bytes kept", b.verdict.Spans, b.kept.size)
	}
}

func TestUnsampledOrdersAreNotJudged(t *testing.T) {
	b := NewBook(Options{Sample: 0.1})
	for _, f := range confirmed() {
		take(t, b, export(traceOf(1), order, f))
	}
	b.Order(order, "CONFIRMED")
	b.Order(strings.Replace(order, "01a", "02a", 1), "CONFIRMED")
	if v := b.Close(); v.Orders != 1 || v.Complete != 1 || v.Sample != 0.1 {
		t.Errorf("%+v", v)
	}
}

// A second of a busy system: requests of a few hundred spans of one service.
func BenchmarkTake(b *testing.B) {
	const orders = 2000
	lists := map[string][]byte{}
	var requests [][]byte
	spans := 0
	for n := range orders {
		for _, f := range confirmed() {
			lists[f.service] = append(lists[f.service], element(traceOf(n+1), order, f)...)
			spans++
		}
		if n%100 == 99 {
			for service, list := range lists {
				requests = append(requests, envelope(service, list))
			}
			clear(lists)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		book := NewBook(Options{Sample: 1, Slowest: 10})
		for _, r := range requests {
			take(b, book, r)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(spans), "ns/span")
}

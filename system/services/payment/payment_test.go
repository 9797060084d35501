package payment

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ordbench/ordbench/system/bus"
	"github.com/ordbench/ordbench/system/events"
	"github.com/ordbench/ordbench/system/store"
	"github.com/ordbench/ordbench/system/telemetry"
)

func newClerk(t testing.TB, inbox bool, p ProviderConfig) *clerk {
	t.Helper()
	l, err := openLedger(t.Context(), Config{Database: filepath.Join(t.TempDir(), "payment.db"), Inbox: inbox})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.db.Close(); err != nil {
			t.Error(err)
		}
	})
	m := newMetrics(prometheus.NewRegistry())
	return &clerk{
		cashier: &cashier{provider: &provider{db: l.db, cfg: p}, inbox: inbox, timeouts: m.timeouts},
		ledger:  l, metrics: m, log: slog.New(slog.DiscardHandler),
	}
}

// reserved is an order of a customer of its own, so that the provider has a
// mood of its own for it.
func reserved(t testing.TB, id string) bus.Message {
	t.Helper()
	return message(t, event(id, events.InventoryReserved))
}

func event(id, kind string) events.Event {
	return events.Event{
		Type: kind, EventID: kind + "-" + id, OrderID: id, UserID: "user-" + id, Total: 12_50, Reason: "r",
		Timestamp: events.At(time.UnixMicro(1)), Items: []events.Item{{SKU: "sku-0001", Quantity: 2}},
	}
}

func message(t testing.TB, e events.Event) bus.Message {
	t.Helper()
	b, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return bus.Message{Topic: events.InventoryTopic, Key: e.OrderID, Value: b}
}

// rows is the answer to a query, the columns of each row joined by spaces.
func (c *clerk) rows(t testing.TB, query string) []string {
	t.Helper()
	found, err := c.ledger.db.Query(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close()
	columns, err := found.Columns()
	if err != nil {
		t.Fatal(err)
	}
	all := []string{}
	for found.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := found.Scan(into...); err != nil {
			t.Fatal(err)
		}
		all = append(all, strings.TrimSuffix(fmt.Sprintln(values...), "\n"))
	}
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// answers lists what was promised, "type order" each.
func (c *clerk) answers(t *testing.T) []string {
	t.Helper()
	pending, err := c.ledger.db.Pending(t.Context(), 1000)
	if err != nil {
		t.Fatal(err)
	}
	all := []string{}
	for _, m := range pending {
		e, err := events.Decode(m.Payload)
		if err != nil || m.Topic != events.PaymentTopic || m.Key != e.OrderID || len(e.Items) != 1 || e.UserID != "user-"+e.OrderID {
			t.Errorf("outbox row %+v: %v", m, err)
		}
		all = append(all, e.Type+" "+e.OrderID)
	}
	return all
}

const (
	charges = `SELECT order_id, outcome, amount_cents FROM provider_charges ORDER BY order_id, key`
	ledgers = `SELECT order_id, account, amount_cents FROM entries ORDER BY id`
)

func TestABatchIsChargedOrderByOrder(t *testing.T) {
	junk := bus.Message{Topic: events.InventoryTopic, Value: []byte("{")}
	for name, tc := range map[string]struct {
		inbox    bool
		provider ProviderConfig
		batches  [][]bus.Message
		charges  []string
		entries  []string
		answers  []string
	}{
		"who can pay is charged": {
			true, ProviderConfig{},
			[][]bus.Message{{reserved(t, "a"), reserved(t, "b")}},
			[]string{"a captured 1250", "b captured 1250"},
			[]string{"a provider 1250", "a sales -1250", "b provider 1250", "b sales -1250"},
			[]string{"payment.captured a", "payment.captured b"},
		},
		"who cannot is not, and the ledger stays empty": {
			true, ProviderConfig{Decline: 1},
			[][]bus.Message{{reserved(t, "a")}},
			[]string{"a declined 1250"},
			[]string{},
			[]string{"payment.declined a"},
		},
		"an order without stock is not charged, and what cannot be read holds up nobody": {
			true, ProviderConfig{},
			[][]bus.Message{{junk, message(t, event("a", events.InventoryRejected)), reserved(t, "b")}, {junk}},
			[]string{"b captured 1250"},
			[]string{"b provider 1250", "b sales -1250"},
			[]string{"payment.captured b"},
		},
		"with the inbox a redelivery changes nothing": {
			true, ProviderConfig{},
			[][]bus.Message{{reserved(t, "a")}, {reserved(t, "a"), reserved(t, "a")}},
			[]string{"a captured 1250"},
			[]string{"a provider 1250", "a sales -1250"},
			[]string{"payment.captured a"},
		},
		"without the inbox a redelivery is charged again": {
			false, ProviderConfig{},
			[][]bus.Message{{reserved(t, "a")}, {reserved(t, "a")}},
			[]string{"a captured 1250", "a captured 1250"},
			[]string{"a provider 1250", "a sales -1250", "a provider 1250", "a sales -1250"},
			[]string{"payment.captured a", "payment.captured a"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClerk(t, tc.inbox, tc.provider)
			for _, batch := range tc.batches {
				if err := c.handle(t.Context(), batch); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(tc.charges, c.rows(t, charges)); diff != "" {
				t.Errorf("charges: %s", diff)
			}
			if diff := cmp.Diff(tc.entries, c.rows(t, ledgers)); diff != "" {
				t.Errorf("ledger: %s", diff)
			}
			if diff := cmp.Diff(tc.answers, c.answers(t)); diff != "" {
				t.Errorf("answers: %s", diff)
			}
		})
	}
}

// The crash that a key is for: the money was moved, and the process died
// before it was written down.
func TestAChargeThatWasNotWrittenDownIsNotRepeated(t *testing.T) {
	c := newClerk(t, true, ProviderConfig{})
	o := event("a", events.InventoryReserved)
	if _, err := c.cashier.charge(t.Context(), []events.Event{o}, nil); err != nil {
		t.Fatal(err)
	}
	if err := c.handle(t.Context(), []bus.Message{message(t, o)}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a captured 1250"}, c.rows(t, charges)); diff != "" {
		t.Errorf("charges: %s", diff)
	}
	if diff := cmp.Diff([]string{"a provider 1250", "a sales -1250"}, c.rows(t, ledgers)); diff != "" {
		t.Errorf("ledger: %s", diff)
	}
}

// customer finds one for whom the provider answers as wanted: arrived and
// answered, in the given round.
func customer(t *testing.T, p *provider, round int, arrives, answers bool) charge {
	t.Helper()
	for n := range 10_000 {
		c := charge{key: "key", orderID: "o", userID: fmt.Sprint("user-", n), amount: 1}
		mood := p.mood(c, fmt.Sprint("timeout ", round))
		if answers == (mood >= p.cfg.Timeout) && arrives == (answers || mood < p.cfg.Timeout/2) {
			return c
		}
	}
	t.Fatal("there is no such customer")
	return charge{}
}

func TestProviderTimeouts(t *testing.T) {
	half := ProviderConfig{Timeout: 0.5}
	for name, tc := range map[string]struct {
		arrives, answers bool
		heard, known     outcome
	}{
		"an answer in time":                        {true, true, captured, captured},
		"the answer was lost: the charge is there": {true, false, unheard, captured},
		"the request was lost: the charge is not":  {false, false, unheard, unheard},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClerk(t, true, half)
			p := c.cashier.provider
			who := customer(t, p, 0, tc.arrives, tc.answers)
			heard, err := p.charge(t.Context(), []charge{who}, 0, time.Now)
			if err != nil || heard[0] != tc.heard {
				t.Errorf("heard %q, %v; want %q", heard, err, tc.heard)
			}
			known, err := p.find(t.Context(), []charge{who})
			if err != nil || known["key"] != tc.known {
				t.Errorf("the provider knows %q, %v; want %q", known, err, tc.known)
			}
		})
	}
}

func TestTimeoutsAreResolvedByAskingUnderTheKey(t *testing.T) {
	const n = 300 // more than one question takes
	for name, p := range map[string]ProviderConfig{
		"no answer is ever heard":       {Timeout: 1},
		"half of the answers":           {Timeout: 0.5},
		"and some of them are refusals": {Timeout: 0.5, Decline: 0.3},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClerk(t, true, p)
			orders := make([]events.Event, n)
			for i := range orders {
				orders[i] = event(fmt.Sprintf("order-%03d", i), events.InventoryReserved)
			}
			outcomes, err := c.cashier.charge(t.Context(), orders, nil)
			if err != nil {
				t.Fatal(err)
			}
			want, refused := []string{}, 0
			for i, o := range outcomes {
				if o != captured && o != declined {
					t.Fatalf("order %d came back as %q", i, o)
				}
				if o == declined {
					refused++
				}
				want = append(want, fmt.Sprint(orders[i].OrderID, " ", o, " 1250"))
			}
			if diff := cmp.Diff(want, c.rows(t, charges)); diff != "" {
				t.Errorf("the provider's book is not what was told: %s", diff)
			}
			if share := float64(refused) / n; share < p.Decline-0.1 || share > p.Decline+0.1 {
				t.Errorf("%.2f are declined, want some %.2f", share, p.Decline)
			}
		})
	}
}

func TestTheSameSeedDeclinesTheSameOrders(t *testing.T) {
	moods := func(seed int64) (all []float64) {
		p := &provider{cfg: ProviderConfig{Seed: seed}}
		for n := range 1000 {
			all = append(all, p.mood(charge{key: fmt.Sprint(time.Now()), userID: fmt.Sprint(n), amount: 1}, "decline"))
		}
		return all
	}
	first := moods(7)
	if diff := cmp.Diff(first, moods(7)); diff != "" {
		t.Errorf("one seed, two moods: %s", diff)
	}
	if cmp.Equal(first, moods(8)) {
		t.Error("two seeds, one mood")
	}
	tenths := [10]int{}
	for _, m := range first {
		tenths[int(m*10)]++
	}
	for i, n := range tenths {
		if n < 60 || n > 140 {
			t.Errorf("%d of 1000 moods are in tenth %d: %v", n, i, tenths)
		}
	}
}

func TestABatchThatIsBrokenOffChargesNobody(t *testing.T) {
	c := newClerk(t, true, ProviderConfig{Work: time.Hour})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.handle(ctx, []bus.Message{reserved(t, "a")}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if found := c.rows(t, charges); len(found) != 0 {
		t.Errorf("charged: %v", found)
	}
}

func TestALedgerThatCannotBeWrittenPromisesNothing(t *testing.T) {
	c := newClerk(t, true, ProviderConfig{})
	err := c.ledger.db.Write(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec(`CREATE TRIGGER full BEFORE INSERT ON entries BEGIN SELECT RAISE(ABORT, 'the disk is full'); END`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.handle(t.Context(), []bus.Message{reserved(t, "a")}); err == nil || !strings.Contains(err.Error(), "the disk is full") {
		t.Errorf("error %v", err)
	}
	if answers, payments := c.answers(t), c.rows(t, `SELECT * FROM payments`); len(answers)+len(payments) != 0 {
		t.Errorf("promised %v, written down %v", answers, payments)
	}
}

func TestPaymentsAreShown(t *testing.T) {
	c := newClerk(t, true, ProviderConfig{})
	if _, err := c.ledger.record(t.Context(), []events.Event{event("a", events.InventoryReserved)}, []outcome{captured}, time.UnixMicro(1_000_000)); err != nil {
		t.Fatal(err)
	}
	a := &api{ledger: c.ledger, log: c.log}
	h := a.handler(telemetry.NewRequests(prometheus.NewRegistry()))
	for name, tc := range map[string]struct {
		method, path string
		status       int
		body         string
	}{
		"a payment":            {"GET", "/payments/a", 200, `{"order_id":"a","payments":[{"outcome":"captured","amount":12.50,"at":"1970-01-01T00:00:01Z"}]}`},
		"a payment that isn't": {"GET", "/payments/b", 404, `{"type":"urn:ordbench:problem:not-found","title":"Not Found","status":404,"detail":"no payment of this order was decided about"}`},
		"a payment by hand":    {"POST", "/payments/a", 405, `{"type":"urn:ordbench:problem:method","title":"Method Not Allowed","status":405,"detail":"POST is not one of GET, HEAD"}`},
		"a path that is not":   {"GET", "/payments", 404, `{"type":"urn:ordbench:problem:not-found","title":"Not Found","status":404,"detail":"there is GET /payments/{order}"}`},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(tc.method, tc.path, nil))
			if w.Code != tc.status || w.Body.String() != tc.body+"\n" {
				t.Errorf("answer %d %s", w.Code, w.Body)
			}
		})
	}
}

// BenchmarkBatch is what a full batch costs beside the provider's latency and
// the broker.
func BenchmarkBatch(b *testing.B) {
	c := newClerk(b, true, ProviderConfig{})
	batch := make([]bus.Message, maxBatch)
	n := 0
	for b.Loop() {
		for i := range batch {
			n++
			batch[i] = reserved(b, fmt.Sprint(n))
		}
		if err := c.handle(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "orders/s")
}

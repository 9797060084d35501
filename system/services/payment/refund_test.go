package payment

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ordbench/ordbench/system/bus"
	"github.com/ordbench/ordbench/system/events"
)

func withdrawn(t testing.TB, id string) bus.Message {
	t.Helper()
	m := message(t, event(id, events.OrderCancelled))
	m.Topic = events.CancellationsTopic
	return m
}

func TestWhatIsCancelledIsRefundedOrNotCharged(t *testing.T) {
	for name, tc := range map[string]struct {
		batches  func(t *testing.T) [][]bus.Message
		declines float64
		charges  []string // key, outcome
		answers  []string
		sales    string // balance
	}{
		"cancelled after the charge": {
			func(t *testing.T) [][]bus.Message { return [][]bus.Message{{reserved(t, "a")}, {withdrawn(t, "a")}} }, 0,
			[]string{"a captured", "a/refund refunded"}, []string{"payment.captured a", "payment.refunded a"}, "0",
		},
		"cancelled before the charge": {
			func(t *testing.T) [][]bus.Message { return [][]bus.Message{{withdrawn(t, "a")}, {reserved(t, "a")}} }, 0,
			[]string{"a declined"}, []string{"payment.declined a"}, "<nil>",
		},
		"cancelled in the same batch": {
			func(t *testing.T) [][]bus.Message {
				return [][]bus.Message{{reserved(t, "a"), withdrawn(t, "a"), reserved(t, "b")}}
			}, 0,
			[]string{"a declined", "b captured"}, []string{"payment.declined a", "payment.captured b"}, "-1250",
		},
		"cancelled twice, delivered again": {
			func(t *testing.T) [][]bus.Message {
				return [][]bus.Message{{reserved(t, "a")}, {withdrawn(t, "a"), withdrawn(t, "a")}, {withdrawn(t, "a")}, {reserved(t, "a")}}
			}, 0,
			[]string{"a captured", "a/refund refunded"}, []string{"payment.captured a", "payment.refunded a"}, "0",
		},
		"cancelled after it was declined": {
			func(t *testing.T) [][]bus.Message { return [][]bus.Message{{reserved(t, "a")}, {withdrawn(t, "a")}} }, 1,
			[]string{"a declined"}, []string{"payment.declined a"}, "<nil>",
		},
		"cancelled and never reserved": {
			func(t *testing.T) [][]bus.Message { return [][]bus.Message{{withdrawn(t, "a")}} }, 0,
			[]string{}, []string{}, "<nil>",
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClerk(t, true, ProviderConfig{Decline: tc.declines})
			for _, batch := range tc.batches(t) {
				if err := c.handle(t.Context(), batch); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(tc.charges, c.rows(t, `SELECT key, outcome FROM provider_charges ORDER BY at, key`)); diff != "" {
				t.Errorf("the provider (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.answers, c.answers(t)); diff != "" {
				t.Errorf("told (-want +got):\n%s", diff)
			}
			if got := c.rows(t, `SELECT sum(amount_cents) FROM entries WHERE account = 'sales'`); !slices.Equal(got, []string{tc.sales}) {
				t.Errorf("sales are %s, want %s", got, tc.sales)
			}
			if got := c.rows(t, `SELECT transaction_id FROM entries GROUP BY transaction_id HAVING sum(amount_cents) <> 0`); len(got) > 0 {
				t.Errorf("transactions that do not make zero: %s", got)
			}
		})
	}
}

// The charge is under way when the order is cancelled: whoever writes second
// sees the other, and the money goes back.
func TestAChargeThatComesLateIsRefunded(t *testing.T) {
	c := newClerk(t, true, ProviderConfig{})
	order := event("a", events.InventoryReserved)
	outcomes, err := c.cashier.charge(t.Context(), []events.Event{order}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.handle(t.Context(), []bus.Message{withdrawn(t, "a")}); err != nil {
		t.Fatal(err)
	}
	out, err := c.ledger.record(t.Context(), []events.Event{order}, outcomes, time.Now())
	if err != nil || !out.cancelled["a"] {
		t.Fatalf("recorded %+v, %v; want it known as cancelled", out, err)
	}
	// Killed here, and delivered again: it is still due.
	if err := c.handle(t.Context(), []bus.Message{reserved(t, "a")}); err != nil {
		t.Fatal(err)
	}
	want := []string{"a captured", "a/refund refunded"}
	if diff := cmp.Diff(want, c.rows(t, `SELECT key, outcome FROM provider_charges ORDER BY at, key`)); diff != "" {
		t.Errorf("the provider (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"payment.captured a", "payment.refunded a"}, c.answers(t)); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

// Killed after the charge and before the books, and cancelled before the order
// comes again: the provider has the money, and it goes back.
func TestAChargeOfAKilledPredecessorIsRefunded(t *testing.T) {
	c := newClerk(t, true, ProviderConfig{})
	if _, err := c.cashier.charge(t.Context(), []events.Event{event("a", events.InventoryReserved)}, nil); err != nil {
		t.Fatal(err)
	}
	for _, m := range []bus.Message{withdrawn(t, "a"), reserved(t, "a")} {
		if err := c.handle(t.Context(), []bus.Message{m}); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"a captured", "a/refund refunded"}
	if diff := cmp.Diff(want, c.rows(t, `SELECT key, outcome FROM provider_charges ORDER BY at, key`)); diff != "" {
		t.Errorf("the provider (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"payment.captured a", "payment.refunded a"}, c.answers(t)); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

// Who was thought dead charges after the order was called off: the key is
// void, and nothing is moved.
func TestAVoidKeyIsNeverCharged(t *testing.T) {
	c := newClerk(t, true, ProviderConfig{})
	for _, m := range []bus.Message{withdrawn(t, "a"), reserved(t, "a")} {
		if err := c.handle(t.Context(), []bus.Message{m}); err != nil {
			t.Fatal(err)
		}
	}
	outcomes, err := c.cashier.charge(t.Context(), []events.Event{event("a", events.InventoryReserved)}, nil)
	if err != nil || !slices.Equal(outcomes, []outcome{declined}) {
		t.Errorf("%v, %v; want it declined", outcomes, err)
	}
}

// A refund without an answer is asked for under its key, like a charge.
func TestARefundWithoutAnAnswerIsMadeOnce(t *testing.T) {
	c := newClerk(t, true, ProviderConfig{Timeout: 0.7})
	const orders = 20
	for i := range orders {
		id := string(rune('a' + i))
		for _, m := range []bus.Message{reserved(t, id), withdrawn(t, id)} {
			if err := c.handle(t.Context(), []bus.Message{m}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := c.rows(t, `SELECT outcome, count(*) FROM provider_charges GROUP BY outcome ORDER BY outcome`); !slices.Equal(got, []string{"captured 20", "refunded 20"}) {
		t.Errorf("the provider has %s", got)
	}
	if got := c.rows(t, `SELECT sum(amount_cents) FROM entries WHERE account = 'provider'`); !slices.Equal(got, []string{"0"}) {
		t.Errorf("the provider owes %s, want 0", got)
	}
}

package services_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/ordbench/ordbench/system/failpoint"
	"github.com/ordbench/ordbench/system/store/storetest"
)

// twoPhase makes the order service a coordinator, and inventory and payment
// its participants.
func twoPhase(s *stack) {
	direct(s)
	s.inventory.Direct, s.payment.Direct = false, false
	s.inventory.TwoPhase, s.payment.TwoPhase = true, true
	s.order.Partners.TwoPhase = true
	s.order.Partners.Timeout = 2 * time.Second
}

// wantWhole holds the books of all services against each other: an order is
// everywhere or nowhere, and nothing waits for a decision.
func (s *stack) wantWhole(t *testing.T, confirmed int) {
	t.Helper()
	eventually(t, "every transaction to be at its end", func() bool {
		return s.count(t, s.order.Database, `SELECT count(*) FROM orders WHERE status = 'PENDING'`) == 0 &&
			s.count(t, s.order.Database, `SELECT count(*) FROM decisions WHERE settled_at IS NULL`) == 0 &&
			s.count(t, s.inventory.Database, inDoubt) == 0 && s.count(t, s.payment.Database, inDoubt) == 0
	})
	s.wantRows(t, s.order.Database, `orders WHERE status = 'CONFIRMED'`, confirmed)
	s.wantRows(t, s.payment.Database, `provider_charges WHERE outcome = 'captured'`, confirmed)
	s.wantRows(t, s.payment.Database, `provider_charges WHERE outcome = 'held'`, 0)
	s.wantRows(t, s.payment.Database, `entries WHERE account = 'sales'`, confirmed)
	s.wantRows(t, s.inventory.Database, `movements WHERE kind = 'sell'`, confirmed)
	s.wantRows(t, s.inventory.Database, `stock WHERE reserved <> 0 OR initial <> available + sold`, 0)
	if n := s.count(t, s.inventory.Database, `SELECT sum(sold) FROM stock`); n != confirmed {
		t.Errorf("%d sold, want %d", n, confirmed)
	}
	orders := s.count(t, s.order.Database, `SELECT count(*) FROM orders`)
	s.wantRows(t, s.notification.Database, `notifications`, orders)
}

const inDoubt = `SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database()`

func TestInTwoPhasesAnOrderIsEverywhereOrNowhere(t *testing.T) {
	s := bootOn(t, storetest.PostgreSQL, func(s *stack) {
		twoPhase(s)
		s.payment.Provider.Decline, s.payment.Provider.Timeout = 0.5, 0.5
	})
	const orders = 30
	ended := map[string]int{}
	for i := range orders {
		key := fmt.Sprint("k", i)
		status, id := s.ask(t, key, `{"user_id":"u`+key+`","total":10}`)
		if status != http.StatusCreated {
			t.Fatalf("answer %d, want 201", status)
		}
		ended[s.find(t, id).Status]++
	}
	if ended["CONFIRMED"] == 0 || ended["CANCELLED"] == 0 || ended["CONFIRMED"]+ended["CANCELLED"] != orders {
		t.Errorf("the orders ended as %v", ended)
	}
	if _, id := s.ask(t, "much", `{"user_id":"u","total":10,"items":[{"sku":"sku-0001","quantity":900000}]}`); s.find(t, id).Status != "REJECTED" {
		t.Errorf("more than there is: %+v, want REJECTED", s.find(t, id))
	}
	if status, _ := s.ask(t, "k0", `{"user_id":"uk0","total":10}`); status != http.StatusCreated {
		t.Errorf("the same again is answered with %d", status)
	}
	s.wantRows(t, s.inventory.Database, `movements WHERE kind = 'reject'`, 1)
	for _, database := range []string{s.order.Database, s.inventory.Database, s.payment.Database} {
		s.wantRows(t, database, `outbox`, 0)
	}
	s.wantWhole(t, ended["CONFIRMED"])
}

func TestInTwoPhasesWhoDoesNotVoteCallsTheOrderOff(t *testing.T) {
	s := bootOn(t, storetest.PostgreSQL, func(s *stack) {
		twoPhase(s)
		s.order.Partners.Timeout = 300 * time.Millisecond
		s.payment.Provider.Work = time.Second
	})
	status, id := s.ask(t, "a", `{"user_id":"u","total":10}`)
	if status != http.StatusServiceUnavailable || s.find(t, id).Status != "CANCELLED" {
		t.Errorf("answer %d and order %+v, want 503 and CANCELLED", status, s.find(t, id))
	}
	if err := s.payments.stop(); err != nil {
		t.Error(err)
	}
	s.payment.Provider.Work = 0
	s.startPayment(t)
	s.wantWhole(t, 0)
}

// What two-phase commit is bad at, and a saga is not: who stands still between
// his promise and its end keeps everybody else waiting.
func TestInTwoPhasesAPromiseBlocksUntilItIsKept(t *testing.T) {
	s := bootOn(t, storetest.PostgreSQL, twoPhase)
	const point = "inventory.2pc.before-commit"
	if err := failpoint.Arm(point, failpoint.Plan{Action: failpoint.Error}); err != nil {
		t.Fatal(err)
	}
	status, id := s.ask(t, "first", `{"user_id":"u","total":10}`)
	if status != http.StatusCreated || s.find(t, id).Status != "CONFIRMED" {
		t.Errorf("answer %d and order %+v: it is decided, whoever has not heard", status, s.find(t, id))
	}
	s.wantRows(t, s.notification.Database, `notifications`, 0)
	status, blocked := s.ask(t, "second", `{"user_id":"u","total":10}`)
	if status != http.StatusServiceUnavailable || s.find(t, blocked).Status != "CANCELLED" {
		t.Errorf("answer %d and order %+v, want 503: its article is locked", status, s.find(t, blocked))
	}
	if status, _ := s.ask(t, "third", `{"user_id":"u","total":10,"items":[{"sku":"sku-0002","quantity":1}]}`); status != http.StatusCreated {
		t.Errorf("answer %d for another article, want 201", status)
	}
	if err := failpoint.Disarm(point); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the promise to be kept", func() bool { return s.stock(t, "sku-0001").Sold == 1 })
	eventually(t, "everybody to be told", func() bool {
		return s.count(t, s.order.Database, `SELECT count(*) FROM decisions WHERE settled_at IS NULL`) == 0
	})
	s.wantRows(t, s.inventory.Database, `movements WHERE kind = 'sell'`, 2)
	s.wantRows(t, s.notification.Database, `notifications`, 3)
}

// At each of these steps somebody gives up, and what follows from the votes and
// the log is done by the recovery.
func TestInTwoPhasesTheLogDecidesWhatIsInDoubt(t *testing.T) {
	steps := []struct {
		point    string
		confirms bool
	}{
		{"order.place.after-commit", false},  // nobody was asked
		{"order.2pc.before-decision", false}, // all have promised, and nothing is written
		{"order.2pc.after-decision", true},   // it is written, though nobody was told
		{"order.2pc.before-settled", true},   // all were told
		{"inventory.2pc.before-prepare", false},
		{"inventory.2pc.after-prepare", false}, // it has promised, and its vote did not arrive
		{"inventory.2pc.before-commit", true},
		{"inventory.2pc.after-commit", true},
		{"payment.2pc.after-authorise", false}, // the money is held, and nothing promised
		{"payment.2pc.after-prepare", false},
		{"payment.2pc.before-commit", true},
		{"payment.2pc.after-capture", true}, // the provider has the money, and the ledger does not say so
		{"payment.2pc.after-commit", true},
	}
	s := bootOn(t, storetest.PostgreSQL, func(s *stack) {
		twoPhase(s)
		s.inventory.SKUs = len(steps) // one each: what is in doubt is locked
	})
	confirmed := 0
	for i, step := range steps {
		if err := failpoint.Arm(step.point, failpoint.Plan{Action: failpoint.Error, Times: 1}); err != nil {
			t.Fatal(err)
		}
		s.ask(t, step.point, fmt.Sprintf(`{"user_id":"u","total":10,"items":[{"sku":"sku-%04d","quantity":1}]}`, i+1))
		if err := failpoint.Disarm(step.point); err != nil {
			t.Fatal(err)
		}
		if step.confirms {
			confirmed++
		}
	}
	s.wantWhole(t, confirmed)
	for _, step := range steps {
		s.wantRows(t, s.order.Database, fmt.Sprintf(`orders WHERE idempotency_key = '%s' AND (status = 'CONFIRMED') = %t`, step.point, step.confirms), 1)
	}
}

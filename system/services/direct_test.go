package services_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ordbench/ordbench/system/services/order"
	"github.com/ordbench/ordbench/system/store/storetest"
)

// direct makes services call each other.
func direct(s *stack) {
	s.order.Partners = &order.Partners{
		Inventories: []string{s.inventory.Listen}, Payments: []string{s.payment.Listen},
		Notifications: []string{s.notification.Listen}, Timeout: 30 * time.Second,
	}
	s.inventory.Direct, s.payment.Direct, s.notification.Direct = true, true, true
}

// ask posts an order and returns the status of the answer and where the order is.
func (s *stack) ask(t *testing.T, key, body string) (status int, id string) {
	t.Helper()
	r, err := http.NewRequest("POST", "http://"+s.order.Listen+"/orders", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Idempotency-Key", key)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode, strings.TrimPrefix(res.Header.Get("Location"), "/orders/")
}

func TestCalledInLineAnOrderIsAtItsEndWhenItIsAnswered(t *testing.T) {
	storetest.Each(t, func(t *testing.T, kind string) {
		s := bootOn(t, kind, func(s *stack) {
			direct(s)
			s.payment.Provider.Decline, s.payment.Provider.Timeout = 0.5, 0.5
		})
		const orders = 40
		ended := map[string]int{}
		for i := range orders {
			key := fmt.Sprint("k", i)
			status, id := s.ask(t, key, `{"user_id":"u`+key+`","total":10}`)
			if status != http.StatusCreated {
				t.Fatalf("answer %d, want 201", status)
			}
			ended[s.find(t, id).Status]++
		}
		paid := ended["CONFIRMED"]
		if paid == 0 || ended["CANCELLED"] == 0 || paid+ended["CANCELLED"] != orders {
			t.Errorf("the orders ended as %v", ended)
		}
		if a := s.stock(t, "sku-0001"); a.Sold != int64(paid) || a.Reserved != 0 || a.Initial != a.Available+a.Sold {
			t.Errorf("stock %+v, want %d sold", a, paid)
		}
		s.wantRows(t, s.payment.Database, `provider_charges WHERE outcome = 'captured'`, paid)
		s.wantRows(t, s.payment.Database, `entries WHERE account = 'sales'`, paid)
		s.wantRows(t, s.notification.Database, `notifications`, orders)
		for _, database := range []string{s.order.Database, s.inventory.Database, s.payment.Database} {
			s.wantRows(t, database, `outbox`, 0)
		}
		if status, _ := s.ask(t, "k0", `{"user_id":"uk0","total":10}`); status != http.StatusCreated {
			t.Errorf("the same again is answered with %d, at first it was 201", status)
		}
		s.wantRows(t, s.notification.Database, `notifications`, orders)
	})
}

func TestCalledInLineAServiceThatIsAwayFailsTheOrder(t *testing.T) {
	s := prepare(t)
	direct(s)
	s.startOrder(t)
	s.startInventory(t)
	s.startNotification(t)
	for _, admin := range []string{s.order.Admin, s.inventory.Admin, s.notification.Admin} {
		awaitReady(t, admin)
	}
	status, id := s.ask(t, "a", `{"user_id":"u","total":10}`)
	if status != http.StatusServiceUnavailable || s.find(t, id).Status != "CANCELLED" {
		t.Errorf("answer %d and order %+v, want 503 and CANCELLED", status, s.find(t, id))
	}
	if a := s.stock(t, "sku-0001"); a.Available != a.Initial {
		t.Errorf("stock %+v did not go back", a)
	}
	s.wantRows(t, s.notification.Database, `notifications WHERE kind = 'cancelled'`, 1)
}

// What calls in line are bad at, and events are not: nobody knows what became
// of a call that was not answered in time.
func TestCalledInLineAServiceThatIsSlowLeavesTheOrderInTheAir(t *testing.T) {
	s := bootOn(t, storetest.SQLite, func(s *stack) {
		direct(s)
		s.order.Partners.Timeout = 700 * time.Millisecond
		s.payment.Provider.Work = 2 * time.Second
	})
	status, id := s.ask(t, "a", `{"user_id":"u","total":10}`)
	if status != http.StatusGatewayTimeout || s.find(t, id).Status != "PENDING" {
		t.Errorf("answer %d and order %+v, want 504 and PENDING", status, s.find(t, id))
	}
	// The customer is charged all the same, and the stock stays reserved.
	eventually(t, "the charge", func() bool {
		return s.count(t, s.payment.Database, `SELECT count(*) FROM provider_charges WHERE outcome = 'captured'`) == 1
	})
	if a := s.stock(t, "sku-0001"); a.Reserved != 1 {
		t.Errorf("stock %+v, want one unit reserved for nobody", a)
	}
}

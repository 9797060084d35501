package services_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ordbench/ordbench/system/bus"
	"github.com/ordbench/ordbench/system/events"
	"github.com/ordbench/ordbench/system/store"
	"github.com/ordbench/ordbench/system/store/storetest"
)

func TestOrdersAreConfirmedAndTheStockIsConserved(t *testing.T) {
	storetest.Each(t, func(t *testing.T, kind string) {
		s := bootOn(t, kind, nil)
		const orders = 200
		ids := make([]string, orders)
		inParallel(16, orders, func(i int) {
			ids[i] = s.place(t, fmt.Sprint("key-", i), fmt.Sprintf(
				`{"user_id":"u%d","total":10,"items":[{"sku":%q,"quantity":1},{"sku":%q,"quantity":2}]}`,
				i, events.SKU(1+i%3), events.SKU(4+i%3)))
		})
		for _, id := range ids {
			s.awaitStatus(t, id, "CONFIRMED")
		}
		s.awaitQuiet(t)
		var sold int64
		for sku := range s.inventory.SKUs {
			a := s.stock(t, events.SKU(sku+1))
			if a.Available < 0 || a.Reserved != 0 || a.Initial != a.Available+a.Sold {
				t.Errorf("stock is not conserved: %+v", a)
			}
			sold += a.Sold
		}
		if sold != 3*orders {
			t.Errorf("%d units are sold, %d were ordered", sold, 3*orders)
		}
		for _, kind := range []string{"reserve", "sell"} {
			if n := s.count(t, s.inventory.Database, `SELECT count(*) FROM movements WHERE kind = '`+kind+`'`); n != 2*orders {
				t.Errorf("%d movements of kind %s, want %d", n, kind, 2*orders)
			}
		}
		s.wantRows(t, s.payment.Database, `provider_charges WHERE outcome = 'captured' AND amount_cents = 1000`, orders)
		s.wantRows(t, s.payment.Database, `entries`, 2*orders)
		s.wantRows(t, s.notification.Database, `notifications WHERE kind = 'confirmed'`, orders)
		if n := s.count(t, s.payment.Database, `SELECT sum(amount_cents) FROM entries`); n != 0 {
			t.Errorf("the ledger makes %d", n)
		}
	})
}

// Half of the customers can't pay, and of half of the charges no answer comes.
func TestADeclinedPaymentGivesTheStockBack(t *testing.T) {
	storetest.Each(t, func(t *testing.T, kind string) {
		s := bootOn(t, kind, func(s *stack) { s.payment.Provider.Decline, s.payment.Provider.Timeout = 0.5, 0.5 })
		const orders = 100
		ids := make([]string, orders)
		inParallel(8, orders, func(i int) {
			ids[i] = s.place(t, fmt.Sprint("key-", i), fmt.Sprintf(
				`{"user_id":"u%d","total":10,"items":[{"sku":"sku-0001","quantity":1},{"sku":"sku-0002","quantity":2}]}`, i))
		})
		ended := map[string]int{}
		for _, id := range ids {
			eventually(t, "order "+id+" to end", func() bool { return s.find(t, id).Status != "PENDING" })
			v := s.find(t, id)
			ended[v.Status]++
			if v.Version != 2 {
				t.Errorf("order %+v changed more than once", v)
			}
		}
		s.awaitQuiet(t)
		paid, cancelled := ended["CONFIRMED"], ended["CANCELLED"]
		if paid+cancelled != orders || paid == 0 || cancelled == 0 {
			t.Errorf("the orders ended as %v", ended)
		}
		for sku, each := range map[string]int64{"sku-0001": 1, "sku-0002": 2} {
			if a := s.stock(t, sku); a.Reserved != 0 || a.Sold != each*int64(paid) || a.Initial != a.Available+a.Sold {
				t.Errorf("stock is %+v, want %d sold", a, each*int64(paid))
			}
		}
		s.wantRows(t, s.inventory.Database, `movements WHERE kind = 'release'`, 2*cancelled)
		s.wantRows(t, s.payment.Database, `provider_charges WHERE outcome = 'captured'`, paid)
		s.wantRows(t, s.payment.Database, `provider_charges WHERE outcome = 'declined'`, cancelled)
		s.wantRows(t, s.payment.Database, `entries WHERE account = 'provider'`, paid)
		s.wantRows(t, s.notification.Database, `notifications WHERE kind = 'confirmed'`, paid)
		s.wantRows(t, s.notification.Database, `notifications WHERE kind = 'cancelled'`, cancelled)
	})
}

func TestAnOrderThatWaitsTooLongIsParkedAndComesBack(t *testing.T) {
	storetest.Each(t, func(t *testing.T, kind string) {
		s := prepareOn(t, kind)
		s.order.StuckAfter = time.Millisecond
		s.startOrder(t)
		id := s.place(t, "key", `{"user_id":"u","total":1}`)
		s.awaitStatus(t, id, "PARKED")
		s.startInventory(t)
		s.startPayment(t)
		s.startNotification(t)
		s.awaitStatus(t, id, "CONFIRMED")
		if v := s.find(t, id); v.Version != 3 {
			t.Errorf("order %+v, want it in version 3", v)
		}
	})
}

func TestAnOrderBeyondTheStockIsRejectedWhole(t *testing.T) {
	storetest.Each(t, func(t *testing.T, kind string) {
		s := bootOn(t, kind, func(s *stack) { s.inventory.Stock = 5 })
		for name, tc := range map[string]struct{ items, reason string }{
			"more than there is":      {`{"sku":"sku-0001","quantity":6}`, "sku-0001: 6 wanted, 5 available"},
			"one item of two is out":  {`{"sku":"sku-0001","quantity":1},{"sku":"sku-0002","quantity":9}`, "sku-0002: 9 wanted, 5 available"},
			"an article that is none": {`{"sku":"sku-0001","quantity":1},{"sku":"teapot","quantity":1}`, "teapot: no such article"},
		} {
			t.Run(name, func(t *testing.T) {
				id := s.place(t, name, `{"user_id":"u","total":1,"items":[`+tc.items+`]}`)
				s.awaitStatus(t, id, "REJECTED")
				if a := s.stock(t, "sku-0001"); a.Available != 5 || a.Reserved != 0 {
					t.Errorf("stock is %+v, want it untouched", a)
				}
				q := fmt.Sprintf(`SELECT count(*) FROM movements WHERE order_id = '%s' AND kind = 'reject' AND quantity = 0`, id)
				if n := s.count(t, s.inventory.Database, q); n != 1 {
					t.Errorf("%d movements, want the one rejection", n)
				}
				s.awaitQuiet(t)
				s.wantRows(t, s.payment.Database, `provider_charges`, 0)
				s.wantRows(t, s.notification.Database, `notifications WHERE kind = 'rejected' AND order_id = '`+id+`'`, 1)
				var reason string
				s.read(t, events.InventoryTopic, func(e events.Event) {
					if e.OrderID == id {
						reason = e.Reason
					}
				})
				if reason != tc.reason {
					t.Errorf("reason %q, want %q", reason, tc.reason)
				}
			})
		}
	})
}

func TestRedelivery(t *testing.T) {
	storetest.Each(t, func(t *testing.T, kind string) {
		type effects struct{ reserved, sold, charged, entered, told int }
		once := effects{1, 1, 1, 2, 1}
		for name, tc := range map[string]struct {
			inbox bool
			topic string
			want  effects
		}{
			"with the inbox an order has one effect":                 {true, events.OrdersTopic, once},
			"with the inbox a reservation has one effect":            {true, events.InventoryTopic, once},
			"with the inbox a payment has one effect":                {true, events.PaymentTopic, once},
			"without the inbox an order is bought twice":             {false, events.OrdersTopic, effects{2, 2, 2, 4, 2}},
			"without the inbox a reservation is charged twice":       {false, events.InventoryTopic, effects{1, 2, 2, 4, 2}},
			"without the inbox a payment is sold for and told twice": {false, events.PaymentTopic, effects{1, 2, 1, 2, 2}},
		} {
			t.Run(name, func(t *testing.T) {
				s := bootOn(t, kind, func(s *stack) { s.setInbox(tc.inbox) })
				id := s.place(t, "key", `{"user_id":"u","total":1,"items":[{"sku":"sku-0001","quantity":3}]}`)
				s.awaitStatus(t, id, "CONFIRMED")
				s.awaitQuiet(t)

				var again []bus.Message
				err := bus.ReadTopic(t.Context(), s.brokers, tc.topic, func(m bus.Message) error {
					again = append(again, bus.Message{Topic: tc.topic, Key: m.Key, Value: m.Value})
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				pub := bus.NewPublisher(s.brokers)
				defer pub.Close()
				if err := pub.Publish(t.Context(), again...); err != nil {
					t.Fatal(err)
				}
				s.awaitQuiet(t)

				got := effects{
					reserved: s.count(t, s.inventory.Database, `SELECT count(*) FROM movements WHERE kind = 'reserve'`),
					sold:     s.count(t, s.inventory.Database, `SELECT count(*) FROM movements WHERE kind = 'sell'`),
					charged:  s.count(t, s.payment.Database, `SELECT count(*) FROM provider_charges WHERE outcome = 'captured'`),
					entered:  s.count(t, s.payment.Database, `SELECT count(*) FROM entries`),
					told:     s.count(t, s.notification.Database, `SELECT count(*) FROM notifications`),
				}
				if got != tc.want {
					t.Errorf("effects %+v, want %+v", got, tc.want)
				}
				reserved := int64(3 * (got.reserved - got.sold))
				if a := s.stock(t, "sku-0001"); a.Reserved != reserved || a.Initial != a.Available+a.Reserved+a.Sold {
					t.Errorf("stock is %+v, want %d reserved", a, reserved)
				}
				if v := s.find(t, id); v.Status != "CONFIRMED" || v.Version != 2 {
					t.Errorf("order is %+v, want it CONFIRMED once", v)
				}
			})
		}
	})
}

func TestShutdownUnderLoadLosesNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, kind string) {
		for name, outbox := range map[string]bool{"with the outbox": true, "with the dual write": false} {
			t.Run(name, func(t *testing.T) {
				s := bootOn(t, kind, func(s *stack) { s.order.Outbox = outbox })
				accepted := s.load(t, 16, 100, func() {
					if err := s.orders.stop(); err != nil {
						t.Errorf("order ended with %v", err)
					}
				})
				if missing := s.withoutEvent(t, accepted); len(missing) > 0 {
					t.Errorf("%d of %d accepted orders are lost: %v", len(missing), len(accepted), missing)
				}
				// The others go in order too: what they took, they answer.
				for _, next := range []struct {
					name, database, topic, group, answers string
					replica                               *replica
				}{
					{"inventory", s.order.Database, events.OrdersTopic, events.InventoryGroup, events.InventoryTopic, s.inventories},
					{"payment", s.inventory.Database, events.InventoryTopic, events.PaymentGroup, events.PaymentTopic, s.payments},
				} {
					s.awaitSettled(t, next.database, next.topic, next.group)
					if err := next.replica.stop(); err != nil {
						t.Errorf("%s ended with %v", next.name, err)
					}
					answered := map[string]int{}
					s.read(t, next.answers, func(e events.Event) { answered[e.OrderID]++ })
					for id := range accepted {
						if answered[id] != 1 {
							t.Errorf("order %s has %d answers of %s, want one", id, answered[id], next.name)
						}
					}
				}
				s.awaitSettled(t, s.payment.Database, events.PaymentTopic, events.NotificationGroup)
				if err := s.notifications.stop(); err != nil {
					t.Errorf("notification ended with %v", err)
				}
				s.wantRows(t, s.notification.Database, `notifications`, len(accepted))
			})
		}
	})
}

// What the outbox is for: killed at once after an answer, only an order
// service without it can lose the order.
func TestAKillLosesOrdersOnlyWithoutTheOutbox(t *testing.T) {
	storetest.Each(t, func(t *testing.T, kind string) {
		for name, outbox := range map[string]bool{"with the outbox": true, "with the dual write": false} {
			t.Run(name, func(t *testing.T) {
				s := bootOn(t, kind, func(s *stack) {
					s.order.Outbox = outbox
					s.separateOrder = true
				})
				var missing []string
				// Whether one kill hits an event in memory is a matter of luck.
				for round := 0; round < 10 && len(missing) == 0; round++ {
					accepted := s.load(t, 8, 40, s.orders.kill)
					s.startOrder(t)
					s.awaitSettled(t, s.order.Database, events.OrdersTopic, events.InventoryGroup)
					missing = s.withoutEvent(t, accepted)
					if outbox {
						break
					}
				}
				if outbox && len(missing) > 0 {
					t.Errorf("accepted orders are lost: %v", missing)
				}
				if !outbox && len(missing) == 0 {
					t.Error("nothing was lost in ten kills: the dual write is not one")
				}
			})
		}
	})
}

func TestReadinessSaysWhatIsMissing(t *testing.T) {
	s := prepare(t)
	s.brokers = []string{reserve(t)} // nobody listens there
	s.order.Brokers, s.inventory.Brokers, s.payment.Brokers, s.notification.Brokers = s.brokers, s.brokers, s.brokers, s.brokers
	s.startOrder(t)
	s.startInventory(t)
	s.startPayment(t)
	s.startNotification(t)
	for admin, want := range map[string]string{
		s.order.Admin:        "waiting for topics",
		s.inventory.Admin:    "waiting for topics, partitions",
		s.payment.Admin:      "waiting for topics, partitions",
		s.notification.Admin: "waiting for topics, partitions",
	} {
		eventually(t, "an answer of "+admin, func() bool {
			code, body := fetch(admin, "/readyz")
			return code == http.StatusServiceUnavailable && strings.TrimSpace(body) == want
		})
	}
	// With the outbox an order can be taken while the broker is away.
	id := s.place(t, "key", `{"user_id":"u","total":1}`)
	if v := s.find(t, id); v.Status != "PENDING" {
		t.Errorf("order %+v, want it PENDING", v)
	}
}

func TestReplicasShareTheWork(t *testing.T) {
	storetest.Each(t, func(t *testing.T, kind string) {
		s := bootOn(t, kind, nil)
		second := s.inventory
		second.Replica, second.Listen, second.Admin = "inventory-1", reserve(t), reserve(t)
		s.addInventory(t, second)
		const orders = 100
		ids := make([]string, orders)
		inParallel(8, orders, func(i int) {
			ids[i] = s.place(t, fmt.Sprint("key-", i), `{"user_id":"u","total":1}`)
		})
		for _, id := range ids {
			s.awaitStatus(t, id, "CONFIRMED")
		}
		s.wantRows(t, s.inventory.Database, `movements WHERE kind = 'reserve'`, orders)
		for _, admin := range []string{s.inventory.Admin, second.Admin} {
			if _, body := fetch(admin, "/metrics"); !strings.Contains(body, `ordbench_inventory_orders_total{outcome="reserved"}`) {
				t.Errorf("%s counts no orders:\n%s", admin, body)
			}
		}
	})
}

// BenchmarkPipeline drives all services over real connections, all of it in
// this process: an operation is an order from its POST to CONFIRMED.
func BenchmarkPipeline(b *testing.B) {
	for _, kind := range []string{storetest.SQLite, storetest.PostgreSQL} {
		b.Run(kind, func(b *testing.B) {
			s := bootOn(b, kind, func(s *stack) {
				s.inventory.Work, s.payment.Provider.Work = 0, 0
				s.inventory.Stock = 1 << 40
				s.inventory.SKUs = 100
			})
			http.DefaultTransport.(*http.Transport).MaxIdleConnsPerHost = 64
			b.ResetTimer()
			inParallel(64, b.N, func(i int) {
				s.place(b, fmt.Sprint("key-", i), fmt.Sprintf(
					`{"user_id":"u%d","total":10,"items":[{"sku":%q,"quantity":1}]}`, i, events.SKU(1+i%100)))
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "accepted/s")
			db := s.open(b, s.order.Database)
			eventually(b, "all orders to be confirmed", func() bool {
				var pending int
				err := db.QueryRow(b.Context(), `SELECT count(*) FROM orders WHERE status = 'PENDING'`).Scan(&pending)
				return err == nil && pending == 0
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "completed/s")
		})
	}
}

// withoutEvent returns which accepted orders lack their row or their event.
func (s *stack) withoutEvent(t testing.TB, accepted map[string]bool) (missing []string) {
	t.Helper()
	published := map[string]bool{}
	s.read(t, events.OrdersTopic, func(e events.Event) { published[e.OrderID] = true })
	db := s.open(t, s.order.Database)
	for id := range accepted {
		var n int
		if err := db.QueryRow(t.Context(), `SELECT count(*) FROM orders WHERE id = ?`, id).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n != 1 || !published[id] {
			missing = append(missing, id)
		}
	}
	return missing
}

// read hands fn every event of a topic.
func (s *stack) read(t testing.TB, topic string, fn func(events.Event)) {
	t.Helper()
	err := bus.ReadTopic(t.Context(), s.brokers, topic, func(m bus.Message) error {
		e, err := events.Decode(m.Value)
		if err == nil {
			fn(e)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (s *stack) open(t testing.TB, database string) *store.DB {
	t.Helper()
	if db := s.books[database]; db != nil {
		return db
	}
	db, err := store.Open(s.owner.Context(), store.Config{Path: database})
	if err != nil {
		t.Fatal(err)
	}
	s.owner.Cleanup(func() { db.Close() })
	s.books[database] = db
	return db
}

func (s *stack) count(t testing.TB, database, q string) (n int) {
	t.Helper()
	if err := s.open(t, database).QueryRow(t.Context(), q).Scan(&n); err != nil {
		t.Fatalf("%s in %s: %v", q, filepath.Base(database), err)
	}
	return n
}

// anOrder and article are what the services answer.
type (
	anOrder struct {
		ID      string `json:"order_id"`
		Status  string `json:"status"`
		Version int    `json:"version"`
	}
	article struct{ Initial, Available, Reserved, Sold int64 }
)

func (s *stack) find(t testing.TB, id string) anOrder {
	t.Helper()
	return answer[anOrder](t, s.order.Listen, "/orders/"+id)
}

func (s *stack) stock(t testing.TB, sku string) article {
	t.Helper()
	return answer[article](t, s.inventory.Listen, "/stock/"+sku)
}

func answer[T any](t testing.TB, addr, path string) (v T) {
	t.Helper()
	code, body := fetch(addr, path)
	if err := json.Unmarshal([]byte(body), &v); err != nil || code != http.StatusOK {
		t.Fatalf("GET %s: %d %q, %v", path, code, body, err)
	}
	return v
}

func (s *stack) awaitStatus(t testing.TB, id, want string) {
	t.Helper()
	eventually(t, "order "+id+" "+want, func() bool { return s.find(t, id).Status == want })
}

// awaitQuiet waits until every event is published and consumed.
func (s *stack) awaitQuiet(t testing.TB) {
	t.Helper()
	s.awaitSettled(t, s.order.Database, events.OrdersTopic, events.InventoryGroup)
	for _, group := range []string{events.PaymentGroup, events.OrderGroup, events.NotificationGroup} {
		s.awaitSettled(t, s.inventory.Database, events.InventoryTopic, group)
	}
	for _, group := range []string{events.InventoryGroup, events.OrderGroup, events.NotificationGroup} {
		s.awaitSettled(t, s.payment.Database, events.PaymentTopic, group)
	}
}

// wantRows counts the rows of a table, narrowed down by a condition.
func (s *stack) wantRows(t testing.TB, database, from string, want int) {
	t.Helper()
	if n := s.count(t, database, `SELECT count(*) FROM `+from); n != want {
		t.Errorf("%d rows of %s, want %d", n, from, want)
	}
}

// awaitSettled waits until what database promised to topic is published and
// group has consumed it.
func (s *stack) awaitSettled(t testing.TB, database, topic, group string) {
	t.Helper()
	db := s.open(t, database)
	lag := bus.NewLagReader(s.brokers)
	defer lag.Close()
	eventually(t, group+" to be through with "+topic, func() bool {
		rows, err := db.Pending(t.Context(), 1)
		if err != nil || len(rows) > 0 {
			return false
		}
		l, err := lag.Read(t.Context(), group, topic)
		return err == nil && l.Total() == 0
	})
}

package services_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ordbench/ordbench/system/bus"
	"github.com/ordbench/ordbench/system/events"
	"github.com/ordbench/ordbench/system/store"
)

func TestOrdersAreConfirmedAndTheStockIsConserved(t *testing.T) {
	s := boot(t, nil)
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
	var reserved int64
	for sku := range s.inventory.SKUs {
		a := s.stock(t, events.SKU(sku+1))
		if a.Available < 0 || a.Initial != a.Available+a.Reserved+a.Sold {
			t.Errorf("stock is not conserved: %+v", a)
		}
		reserved += a.Reserved
	}
	if reserved != 3*orders {
		t.Errorf("%d units are reserved, %d were ordered", reserved, 3*orders)
	}
	if n := s.count(t, s.inventory.Database, `SELECT count(*) FROM movements WHERE kind = 'reserve'`); n != 2*orders {
		t.Errorf("%d movements, want %d", n, 2*orders)
	}
}

func TestAnOrderBeyondTheStockIsRejectedWhole(t *testing.T) {
	s := boot(t, func(s *stack) { s.inventory.Stock = 5 })
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
}

func TestRedelivery(t *testing.T) {
	for name, tc := range map[string]struct {
		inbox bool
		times int64
	}{
		"with the inbox it has one effect":     {true, 1},
		"without the inbox it has two effects": {false, 2},
	} {
		t.Run(name, func(t *testing.T) {
			s := boot(t, func(s *stack) { s.inventory.Inbox, s.order.Inbox = tc.inbox, tc.inbox })
			id := s.place(t, "key", `{"user_id":"u","total":1,"items":[{"sku":"sku-0001","quantity":3}]}`)
			s.awaitStatus(t, id, "CONFIRMED")

			var again []bus.Message
			for _, topic := range []string{events.OrdersTopic, events.InventoryTopic} {
				err := bus.ReadTopic(t.Context(), s.brokers, topic, func(m bus.Message) error {
					again = append(again, bus.Message{Topic: topic, Key: m.Key, Value: m.Value})
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			pub := bus.NewPublisher(s.brokers)
			defer pub.Close()
			if err := pub.Publish(t.Context(), again...); err != nil {
				t.Fatal(err)
			}
			s.awaitQuiet(t)

			if n := s.count(t, s.inventory.Database, `SELECT count(*) FROM movements`); int64(n) != tc.times {
				t.Errorf("%d movements, want %d", n, tc.times)
			}
			if a := s.stock(t, "sku-0001"); a.Reserved != 3*tc.times || a.Initial != a.Available+a.Reserved {
				t.Errorf("stock is %+v, want %d reserved", a, 3*tc.times)
			}
			if v := s.find(t, id); v.Status != "CONFIRMED" || v.Version != 2 {
				t.Errorf("order is %+v, want it CONFIRMED once", v)
			}
		})
	}
}

func TestShutdownUnderLoadLosesNothing(t *testing.T) {
	for name, outbox := range map[string]bool{"with the outbox": true, "with the dual write": false} {
		t.Run(name, func(t *testing.T) {
			s := boot(t, func(s *stack) { s.order.Outbox = outbox })
			accepted := s.load(t, 16, 100, func() {
				if err := s.orders.stop(); err != nil {
					t.Errorf("order ended with %v", err)
				}
			})
			if missing := s.withoutEvent(t, accepted); len(missing) > 0 {
				t.Errorf("%d of %d accepted orders are lost: %v", len(missing), len(accepted), missing)
			}
			// The inventory goes in order too: what it took, it answers.
			s.awaitSettled(t, s.order.Database, events.OrdersTopic, events.InventoryGroup)
			if err := s.inventories.stop(); err != nil {
				t.Errorf("inventory ended with %v", err)
			}
			answered := map[string]int{}
			s.read(t, events.InventoryTopic, func(e events.Event) { answered[e.OrderID]++ })
			for id := range accepted {
				if answered[id] != 1 {
					t.Errorf("order %s has %d answers, want one", id, answered[id])
				}
			}
		})
	}
}

// What the outbox is for: killed at once after an answer, only an order
// service without it can lose the order.
func TestAKillLosesOrdersOnlyWithoutTheOutbox(t *testing.T) {
	for name, outbox := range map[string]bool{"with the outbox": true, "with the dual write": false} {
		t.Run(name, func(t *testing.T) {
			s := boot(t, func(s *stack) {
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
}

func TestReadinessSaysWhatIsMissing(t *testing.T) {
	s := prepare(t)
	s.brokers = []string{reserve(t)} // nobody listens there
	s.order.Brokers, s.inventory.Brokers = s.brokers, s.brokers
	s.startOrder(t)
	s.startInventory(t)
	for admin, want := range map[string]string{
		s.order.Admin:     "waiting for topics",
		s.inventory.Admin: "waiting for topics, partitions",
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
	s := boot(t, nil)
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
	if n := s.count(t, s.inventory.Database, `SELECT count(*) FROM movements`); n != orders {
		t.Errorf("%d movements, want %d", n, orders)
	}
	for _, admin := range []string{s.inventory.Admin, second.Admin} {
		if _, body := fetch(admin, "/metrics"); !strings.Contains(body, `ordbench_inventory_orders_total{outcome="reserved"}`) {
			t.Errorf("%s counts no orders:\n%s", admin, body)
		}
	}
}

// BenchmarkPipeline drives both services over real connections, all of it in
// this process: an operation is an order from its POST to CONFIRMED.
func BenchmarkPipeline(b *testing.B) {
	s := boot(b, func(s *stack) {
		s.inventory.Work = 0
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
	db, err := store.Open(t.Context(), store.Config{Path: database})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
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
	s.awaitSettled(t, s.inventory.Database, events.InventoryTopic, events.OrderGroup)
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

// Package services_test runs the services together, as they are in
// production but for one process: HTTP in front, a Kafka broker in memory and
// databases on disk behind.
package services_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/ordbench/ordbench/system/endpoint"
	"github.com/ordbench/ordbench/system/services/inventory"
	"github.com/ordbench/ordbench/system/services/notification"
	"github.com/ordbench/ordbench/system/services/order"
	"github.com/ordbench/ordbench/system/services/payment"
	"github.com/ordbench/ordbench/system/store"
	"github.com/ordbench/ordbench/system/store/storetest"
	"github.com/ordbench/ordbench/system/telemetry"
)

// orderEnv makes this test binary an order service with the configuration in
// it: what is to be killed must be a process of its own.
const orderEnv = "ORDBENCH_TEST_ORDER"

func TestMain(m *testing.M) {
	if cfg := os.Getenv(orderEnv); cfg != "" {
		if err := serveOrder(cfg); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if where := os.Getenv(relayEnv); where != "" {
		fmt.Fprintln(os.Stderr, relayForEver(where))
		os.Exit(1)
	}
	os.Exit(storetest.Main(m))
}

// serveOrder runs until standard input ends, so it cannot outlive the test.
func serveOrder(config string) error {
	var cfg order.Config
	if err := json.Unmarshal([]byte(config), &cfg); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() {
		os.Stdin.Read(make([]byte, 1))
		stop()
	}()
	return order.Run(ctx, cfg, slog.New(slog.DiscardHandler))
}

// stack is the services of one test.
type stack struct {
	brokers       []string
	order         order.Config
	inventory     inventory.Config
	payment       payment.Config
	notification  notification.Config
	separateOrder bool // in a process of its own, which can be killed

	owner testing.TB           // the test that booted it, for as long as which it is there
	books map[string]*store.DB // that the test has opened, by their paths

	orders, inventories, payments, notifications *replica
}

// replica is one running service.
type replica struct {
	stop func() error // in order; the error of its Run
	kill func()       // SIGKILL; only of a process of its own
}

// prepare is a stack of which nothing runs but the broker. Its books are
// files.
func prepare(t testing.TB) *stack {
	t.Helper()
	return prepareOn(t, storetest.SQLite)
}

// prepareOn is a stack with books of a kind.
func prepareOn(t testing.TB, kind string) *stack {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return &stack{owner: t, books: map[string]*store.DB{},
		brokers: c.ListenAddrs(),
		order: order.Config{
			Replica: "order-0", Listen: reserve(t), Admin: reserve(t), Brokers: c.ListenAddrs(),
			Database: storetest.Path(t, kind), Partitions: 8,
			Outbox: true, Inbox: true, Idempotency: true, DeadLetters: true, Backoff: true, Grace: 10 * time.Second,
		},
		inventory: inventory.Config{
			Replica: "inventory-0", Listen: reserve(t), Admin: reserve(t), Brokers: c.ListenAddrs(),
			Database: storetest.Path(t, kind), Partitions: 8,
			Work: 100 * time.Microsecond, Inbox: true, DeadLetters: true, Backoff: true, SKUs: 10, Stock: 100_000, Grace: 10 * time.Second,
		},
		payment: payment.Config{
			Replica: "payment-0", Listen: reserve(t), Admin: reserve(t), Brokers: c.ListenAddrs(),
			Database: storetest.Path(t, kind), Partitions: 8,
			Inbox: true, DeadLetters: true, Backoff: true, Provider: payment.ProviderConfig{Seed: 1, Work: 100 * time.Microsecond}, Grace: 10 * time.Second,
		},
		notification: notification.Config{
			Replica: "notification-0", Listen: reserve(t), Admin: reserve(t), Brokers: c.ListenAddrs(),
			Database: storetest.Path(t, kind), Partitions: 8,
			Inbox: true, DeadLetters: true, Backoff: true, Grace: 10 * time.Second,
		},
	}
}

// boot is a stack that is ready. Its books are files.
func boot(t testing.TB, adjust func(*stack)) *stack {
	t.Helper()
	return bootOn(t, storetest.SQLite, adjust)
}

// bootOn is a stack that is ready, with books of a kind.
func bootOn(t testing.TB, kind string, adjust func(*stack)) *stack {
	t.Helper()
	s := prepareOn(t, kind)
	if adjust != nil {
		adjust(s)
	}
	s.startOrder(t)
	s.startInventory(t)
	s.startPayment(t)
	s.startNotification(t)
	for _, admin := range []string{s.order.Admin, s.inventory.Admin, s.payment.Admin, s.notification.Admin} {
		awaitReady(t, admin)
	}
	return s
}

func (s *stack) startOrder(t testing.TB) {
	t.Helper()
	if s.separateOrder {
		s.orders = spawn(t, s.order)
		awaitReady(t, s.order.Admin)
		return
	}
	s.orders = start(t, func(ctx context.Context, log *slog.Logger) error { return order.Run(ctx, s.order, log) })
	awaitListening(t, s.order.Listen)
}

func (s *stack) startInventory(t testing.TB) {
	t.Helper()
	s.inventories = start(t, func(ctx context.Context, log *slog.Logger) error { return inventory.Run(ctx, s.inventory, log) })
}

func (s *stack) startPayment(t testing.TB) {
	t.Helper()
	s.payments = start(t, func(ctx context.Context, log *slog.Logger) error { return payment.Run(ctx, s.payment, log) })
}

func (s *stack) startNotification(t testing.TB) {
	t.Helper()
	s.notifications = start(t, func(ctx context.Context, log *slog.Logger) error { return notification.Run(ctx, s.notification, log) })
}

// setInbox switches the inbox of every service.
func (s *stack) setInbox(on bool) {
	s.order.Inbox, s.inventory.Inbox, s.payment.Inbox, s.notification.Inbox = on, on, on, on
}

// addInventory starts one more and waits until it is ready.
func (s *stack) addInventory(t testing.TB, cfg inventory.Config) {
	t.Helper()
	start(t, func(ctx context.Context, log *slog.Logger) error { return inventory.Run(ctx, cfg, log) })
	awaitReady(t, cfg.Admin)
}

// start runs a service in this process until the test or the replica's stop
// ends it.
func start(t testing.TB, run func(context.Context, *slog.Logger) error) *replica {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	log := telemetry.NewLogger(t.Output(), "", "")
	go func() { ended <- run(ctx, log) }()
	stop := sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return &replica{stop: stop}
}

// spawn runs an order service as a process of its own.
func spawn(t testing.TB, cfg order.Config) *replica {
	t.Helper()
	config, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), orderEnv+"="+string(config))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := sync.OnceFunc(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	t.Cleanup(kill)
	return &replica{kill: kill, stop: func() error {
		in.Close()
		return cmd.Wait()
	}}
}

// reserve is an address that this test alone may listen on.
func reserve(t testing.TB) string {
	t.Helper()
	r, err := endpoint.Reserve("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Release() })
	return r.Addr()
}

// place posts an order that must be accepted, and returns its id.
func (s *stack) place(t testing.TB, key, body string) string {
	t.Helper()
	id, err := s.post(key, body)
	if err != nil {
		t.Error(err)
	}
	return id
}

func (s *stack) post(key, body string) (id string, err error) {
	r, err := http.NewRequest("POST", "http://"+s.order.Listen+"/orders", strings.NewReader(body))
	if err != nil {
		return "", err
	}
	r.Header.Set("Idempotency-Key", key)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return "", err
	}
	var placed struct {
		ID string `json:"order_id"`
	}
	if res.StatusCode != http.StatusAccepted {
		return "", fmt.Errorf("POST /orders: %d %s", res.StatusCode, b)
	}
	if err := json.Unmarshal(b, &placed); err != nil {
		return "", err
	}
	return placed.ID, nil
}

// load has clients post orders one after the other, calls end once enough
// are accepted, and returns the accepted ones when the clients, who find
// nobody to post to, are gone.
func (s *stack) load(t testing.TB, clients int, enough int64, end func()) map[string]bool {
	t.Helper()
	var (
		mu       sync.Mutex
		accepted = map[string]bool{}
		n        atomic.Int64
		reached  = make(chan struct{})
		gone     sync.WaitGroup
	)
	round := time.Now().UnixNano()
	for c := range clients {
		gone.Go(func() {
			for i := 0; ; i++ {
				id, err := s.post(fmt.Sprintf("load-%d-%d-%d", round, c, i), `{"user_id":"u","total":1}`)
				if err != nil {
					return
				}
				mu.Lock()
				accepted[id] = true
				mu.Unlock()
				if n.Add(1) == enough {
					close(reached)
				}
			}
		})
	}
	select {
	case <-reached:
	case <-time.After(30 * time.Second):
		t.Error("the load was not accepted")
	}
	end()
	gone.Wait()
	return accepted
}

// inParallel calls do for 0 to n-1 from several goroutines.
func inParallel(workers, n int, do func(int)) {
	var all sync.WaitGroup
	var next atomic.Int64
	for range workers {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	all.Wait()
}

// fetch is the status and the body of a GET; 0 where nobody answers.
func fetch(addr, path string) (int, string) {
	res, err := http.Get("http://" + addr + path)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, string(b)
}

func awaitReady(t testing.TB, admin string) {
	t.Helper()
	eventually(t, admin+" to be ready", func() bool {
		code, _ := fetch(admin, "/readyz")
		return code == http.StatusOK
	})
}

func awaitListening(t testing.TB, addr string) {
	t.Helper()
	eventually(t, addr+" to listen", func() bool {
		code, _ := fetch(addr, "/")
		return code != 0
	})
}

// eventually asks again and again until done, for at most half a minute.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	over := time.After(30 * time.Second)
	for !done() {
		select {
		case <-again.C:
		case <-over:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

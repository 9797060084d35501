package system_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ordbench/ordbench/system"
	"github.com/ordbench/ordbench/system/runtime/local"
	"github.com/ordbench/ordbench/system/runtime/serve"
	"github.com/ordbench/ordbench/system/telemetry"
)

// This binary is also what the tests start: a replica, "serve COMPONENT
// --config FILE --lease-fd 3"; one whose order service doesn't start,
// "broken ..."; and another program with a stack, "parent DIR".
func TestMain(m *testing.M) {
	switch {
	case len(os.Args) > 4 && os.Args[1] == "serve":
		os.Exit(beReplica(os.Args[2], os.Args[4]))
	case len(os.Args) > 4 && os.Args[1] == "broken":
		if os.Args[2] == "order" {
			fmt.Fprintln(os.Stderr, "the order service has a cold")
			os.Exit(3)
		}
		os.Exit(beReplica(os.Args[2], os.Args[4]))
	case len(os.Args) > 2 && os.Args[1] == "parent":
		os.Exit(beParent(os.Args[2]))
	}
	os.Exit(m.Run())
}

func beReplica(component, config string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, os.NewFile(3, "lease"))
		os.Exit(70)
	}()
	f, err := os.Open(config)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 70
	}
	if err := serve.Run(ctx, component, f, telemetry.NewLogger(os.Stderr, component, "")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 70
	}
	return 0
}

// beParent boots a stack, pauses a replica of it, says so and stays.
func beParent(dir string) int {
	ctx := context.Background()
	cfg := config(dir)
	cfg.Inventory.MinReplicas = 3
	stack, err := system.Boot(ctx, runtime("serve"), cfg, nil)
	if err == nil {
		_, _, err = stack.Pause(ctx, "inventory-1")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 70
	}
	fmt.Println(stack.URL())
	select {}
}

func runtime(mode string) system.Runtime {
	return local.Runtime{Command: []string{os.Args[0], mode}}
}

// config is a system that scales only when it is told to, limits nobody and
// asks nobody for a token.
func config(dir string) system.Config {
	cfg := system.DefaultConfig()
	cfg.Dir = dir
	cfg.Scaling.By = system.ScaleByNone
	cfg.Gateway.RateLimit.Requests = 0
	cfg.Patterns.Auth = false
	return cfg
}

// soon bounds what a test waits for.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// boot starts a stack that ends with the test.
func boot(t *testing.T, change func(*system.Config)) *system.Stack {
	t.Helper()
	cfg := config(t.TempDir())
	if change != nil {
		change(&cfg)
	}
	began := time.Now()
	stack, err := system.Boot(soon(t), runtime("serve"), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("booted in %s", time.Since(began).Round(time.Millisecond))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		began := time.Now()
		if err := stack.Close(ctx); err != nil {
			t.Error(err)
		}
		t.Logf("closed in %s", time.Since(began).Round(time.Millisecond))
		if left := processesOf(t, cfg.Dir); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
	return stack
}

// processesOf finds the replicas of the stack in dir in the process table.
func processesOf(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Skip("there is no process table to look at: ", err)
	}
	var found []string
	for _, e := range entries {
		line, err := os.ReadFile("/proc/" + e.Name() + "/cmdline")
		if err == nil && strings.Contains(string(line), "--config\x00"+dir+"/") {
			found = append(found, e.Name()+": "+strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return found
}

// order places an order and returns its id, trying until it is accepted.
func order(t *testing.T, stack *system.Stack) string {
	t.Helper()
	var last string
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		res, err := http.Post(stack.URL()+"/orders", "application/json", strings.NewReader(`{"user_id":"u1","total":12.50}`))
		if err != nil {
			last = err.Error()
			continue
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		last = fmt.Sprint(res.Status, " ", string(body), err)
		var answer struct {
			OrderID string `json:"order_id"`
		}
		if res.StatusCode == http.StatusAccepted && json.Unmarshal(body, &answer) == nil && answer.OrderID != "" {
			return answer.OrderID
		}
	}
	t.Fatalf("no order was accepted: %s", last)
	return ""
}

// drain waits until nothing is in flight.
func drain(t *testing.T, stack *system.Stack) {
	t.Helper()
	var d system.Drain
	var err error
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if d, err = stack.Drained(soon(t)); err == nil && d.Done() {
			return
		}
	}
	t.Fatalf("it does not drain: %s, %v", d, err)
}

// book is all that an audit finds.
type book struct {
	orders    map[string]system.OrderRow
	movements map[string][]system.MovementRow // by order
	stock     map[string]system.StockRow
	charges   map[string][]system.ChargeRow
	entries   map[string][]system.EntryRow
	told      map[string][]system.NotificationRow
	outbox    map[string]system.OutboxRow // by event
	events    map[string][]system.EventRow
}

func audit(t *testing.T, stack *system.Stack) book {
	t.Helper()
	b := book{
		map[string]system.OrderRow{}, map[string][]system.MovementRow{}, map[string]system.StockRow{},
		map[string][]system.ChargeRow{}, map[string][]system.EntryRow{}, map[string][]system.NotificationRow{},
		map[string]system.OutboxRow{}, map[string][]system.EventRow{},
	}
	if err := stack.Audit(soon(t), b); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b book) Order(r system.OrderRow) error   { b.orders[r.ID] = r; return nil }
func (b book) Stock(r system.StockRow) error   { b.stock[r.SKU] = r; return nil }
func (b book) Outbox(r system.OutboxRow) error { b.outbox[r.EventID] = r; return nil }
func (b book) Movement(r system.MovementRow) error {
	b.movements[r.OrderID] = append(b.movements[r.OrderID], r)
	return nil
}
func (b book) Charge(r system.ChargeRow) error {
	b.charges[r.OrderID] = append(b.charges[r.OrderID], r)
	return nil
}
func (b book) Entry(r system.EntryRow) error {
	b.entries[r.OrderID] = append(b.entries[r.OrderID], r)
	return nil
}
func (b book) Notification(r system.NotificationRow) error {
	b.told[r.OrderID] = append(b.told[r.OrderID], r)
	return nil
}
func (book) Inbox(system.InboxRow) error        { return nil }
func (book) DeadLetter(system.DeadLetter) error { return nil }
func (book) InDoubt(system.InDoubtRow) error    { return nil }
func (b book) Event(r system.EventRow) error {
	b.events[r.OrderID] = append(b.events[r.OrderID], r)
	return nil
}

// done tells whether an order is confirmed in every book, once.
func (b book) done(id string) bool {
	return b.orders[id].Status == "CONFIRMED" && len(b.movements[id]) == 2 &&
		len(b.charges[id]) == 1 && len(b.entries[id]) == 2 && len(b.told[id]) == 1 && len(b.kinds(id)) == 3
}

// kinds are the different events of an order: a relay that is killed between
// publishing and marking rightly publishes again.
func (b book) kinds(id string) map[string]bool {
	kinds := map[string]bool{}
	for _, e := range b.events[id] {
		kinds[e.EventID] = true
	}
	return kinds
}

// says is all that the books hold of an order.
func (b book) says(id string) string {
	return fmt.Sprintf("%+v, movements %+v, charges %+v, entries %+v, notifications %+v, events %+v",
		b.orders[id], b.movements[id], b.charges[id], b.entries[id], b.told[id], b.events[id])
}

// replica is a replica as the status shows it.
func replica(t *testing.T, stack *system.Stack, name string) system.ReplicaStatus {
	t.Helper()
	for _, c := range stack.Status(soon(t)).Components {
		for _, r := range c.Replicas {
			if r.Name == name {
				return r
			}
		}
	}
	t.Fatalf("%s is not in the status", name)
	return system.ReplicaStatus{}
}

// components are those that the local runtime has processes for.
func components() []system.Component {
	return slices.DeleteFunc(system.Components(), func(c system.Component) bool { return c == system.Database })
}

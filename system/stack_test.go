package system_test

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ordbench/ordbench/system"
)

func TestOrderIsConfirmedInEveryBook(t *testing.T) {
	stack := boot(t, nil)
	id := order(t, stack)
	drain(t, stack)
	b := audit(t, stack)
	if o := b.orders[id]; o.Status != "CONFIRMED" || o.UserID != "u1" || o.Key == "" || o.Version < 1 || time.Since(o.CreatedAt) > time.Minute {
		t.Errorf("the order stands there as %+v", o)
	}
	if m := b.movements[id]; len(m) != 2 || m[0].Kind != "reserve" || m[0].Quantity != 1 || m[1].Kind != "sell" || m[1].Quantity != 1 {
		t.Errorf("its stock moved as %+v", m)
	} else if s := b.stock[m[0].SKU]; s.Initial != 1_000_000 || s.Available != 999_999 || s.Reserved != 0 || s.Sold != 1 {
		t.Errorf("the stock is %+v", s)
	}
	if c := b.charges[id]; len(c) != 1 || c[0].Outcome != "captured" || c[0].Cents != 12_50 || c[0].Key != id || time.Since(c[0].At) > time.Minute {
		t.Errorf("it was charged as %+v", c)
	}
	if e := b.entries[id]; len(e) != 2 || e[0].Account != "provider" || e[0].Cents != 12_50 || e[1].Account != "sales" || e[1].Cents != -12_50 || e[0].Transaction != e[1].Transaction {
		t.Errorf("it stands in the ledger as %+v", e)
	}
	if n := b.told[id]; len(n) != 1 || n[0].Kind != "confirmed" || n[0].UserID != "u1" {
		t.Errorf("the customer was told %+v", n)
	}
	var types []string
	for _, e := range b.events[id] {
		types = append(types, e.Type)
		if row, ok := b.outbox[e.EventID]; !ok || !row.Published || row.Key != id || row.Topic != e.Topic {
			t.Errorf("%s stands in the outbox as %+v", e.Type, row)
		}
	}
	// Effects are read before their causes.
	if !slices.Equal(types, []string{"payment.captured", "inventory.reserved", "order.created"}) {
		t.Errorf("its events are %v", types)
	}
	if len(b.stock) != 1000 || len(b.orders) != 1 || len(b.outbox) != 3 {
		t.Errorf("%d SKUs, %d orders, %d outbox rows", len(b.stock), len(b.orders), len(b.outbox))
	}
}

func TestWhatIsKilledComesBackWithItsDataWhereItWas(t *testing.T) {
	t.Parallel()
	stack := boot(t, nil)
	var ids []string
	for _, c := range components() {
		ids = append(ids, order(t, stack))
		name := c.ReplicaName(0)
		before := replica(t, stack, name)
		began := time.Now()
		at, detail, err := stack.Kill(soon(t), name, 0)
		if err != nil {
			t.Fatal(err)
		}
		if at.Before(began) || at.After(time.Now()) || !strings.Contains(detail, "is gone (signal: killed)") {
			t.Errorf("proof of the kill of %s: %s, %q", name, at, detail)
		}
		if syscall.Kill(before.PID, 0) == nil {
			t.Errorf("%s: pid %d is still there", name, before.PID)
		}
		_, detail, err = stack.AwaitReady(soon(t), name)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: back %s after the kill: %s", name, time.Since(at).Round(time.Millisecond), detail)
		after := replica(t, stack, name)
		if after.State != system.Ready || after.PID == before.PID || after.Addr != before.Addr || after.Admin != before.Admin || after.Restarts != 1 {
			t.Errorf("it came back as %+v, was %+v", after, before)
		}
	}
	ids = append(ids, order(t, stack))
	drain(t, stack)
	b := audit(t, stack)
	for i, id := range ids {
		if !b.done(id) {
			t.Errorf("order %d: the books say %s", i, b.says(id))
		}
		res, err := http.Get(stack.URL() + "/orders/" + id)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Errorf("order %d: GET answers %s", i, res.Status)
		}
	}
}

func TestBooksAreReadWhileTheServicesAreDead(t *testing.T) {
	stack := boot(t, nil)
	id := order(t, stack)
	drain(t, stack)
	for _, name := range []string{"gateway-0", "order-0", "inventory-0", "payment-0", "notification-0"} {
		if _, _, err := stack.Kill(soon(t), name, time.Hour); err != nil {
			t.Fatal(err)
		}
		if r := replica(t, stack, name); r.State != system.Held || r.PID != 0 {
			t.Errorf("it is %+v", r)
		}
	}
	if b := audit(t, stack); !b.done(id) {
		t.Errorf("the books say %s", b.says(id))
	}
	if d, err := stack.Drained(soon(t)); err != nil || !d.Done() {
		t.Errorf("in flight: %s, %v", d, err)
	}
}

func TestPausedReplicaStandsStillAndGoesOn(t *testing.T) {
	t.Parallel()
	stack := boot(t, nil)
	if _, detail, err := stack.Pause(soon(t), "order-0"); err != nil || !strings.HasSuffix(detail, "is in state T") {
		t.Fatalf("%q, %v", detail, err)
	}
	r := replica(t, stack, "order-0")
	if r.State != system.Paused {
		t.Errorf("it is %s", r.State)
	}
	admin := http.Client{Timeout: 200 * time.Millisecond}
	if res, err := admin.Get("http://" + r.Admin + "/readyz"); err == nil {
		res.Body.Close()
		t.Error("a paused replica answers")
	}
	if _, detail, err := stack.Resume(soon(t), "order-0"); err != nil || strings.HasSuffix(detail, "state T") {
		t.Fatalf("%q, %v", detail, err)
	}
	if _, _, err := stack.AwaitReady(soon(t), "order-0"); err != nil {
		t.Fatal(err)
	}
	if after := replica(t, stack, "order-0"); after.PID != r.PID || after.Restarts != 0 {
		t.Errorf("it came back as %+v", after)
	}
	order(t, stack)
}

func TestRestartLosesNothing(t *testing.T) {
	t.Parallel()
	stack := boot(t, nil)
	id := order(t, stack)
	for _, c := range components() {
		_, detail, err := stack.Restart(soon(t), c.ReplicaName(0))
		if err != nil || !strings.Contains(detail, "is gone (exit status 0)") {
			t.Errorf("%q, %v", detail, err)
		}
	}
	drain(t, stack)
	if b := audit(t, stack); !b.done(id) {
		t.Errorf("the books say %s", b.says(id))
	}
}

func TestScaleOutAndIn(t *testing.T) {
	t.Parallel()
	stack := boot(t, nil)
	for _, n := range []int{5, 1} {
		began := time.Now()
		if err := stack.Scale(soon(t), system.Inventory, n); err != nil {
			t.Fatal(err)
		}
		t.Logf("scaled to %d in %s", n, time.Since(began).Round(time.Millisecond))
		var want []string
		for i := range n {
			want = append(want, system.Inventory.ReplicaName(i))
		}
		if got := stack.Running("inventory"); !slices.Equal(got, want) {
			t.Errorf("%v run, want %v", got, want)
		}
		for range 20 {
			order(t, stack)
		}
	}
	drain(t, stack)
	b := audit(t, stack)
	for id := range b.orders {
		if !b.done(id) {
			t.Errorf("the books say %s", b.says(id))
		}
	}
	if len(b.orders) != 40 {
		t.Errorf("%d orders, want 40", len(b.orders))
	}
}

func TestInventoryFollowsItsLag(t *testing.T) {
	t.Parallel()
	stack := boot(t, func(c *system.Config) {
		c.Inventory.MaxReplicas = 3
		c.Inventory.Work = 20 * time.Millisecond
		c.Scaling = system.ScalingConfig{
			By: system.ScaleByLag, LagThreshold: 10, Partitions: 8,
			PollingInterval: 50 * time.Millisecond, StabilizationWindow: 500 * time.Millisecond,
		}
	})
	// It stands still while orders come in, so that there is a lag however
	// slowly they do.
	if _, _, err := stack.Pause(soon(t), "inventory-0"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(soon(t))
	defer cancel()
	most, least := 0, 99
	var observed sync.WaitGroup
	observed.Go(func() {
		stack.Observe(ctx, 50*time.Millisecond, func(s system.Sample) {
			n := s.Desired[system.Inventory]
			most = max(most, n)
			if most == 3 {
				least = min(least, n)
			}
			if least == 1 && s.Ready[system.Inventory] == 1 {
				cancel()
			}
		})
	})
	for range 100 {
		order(t, stack)
	}
	if _, _, err := stack.Resume(soon(t), "inventory-0"); err != nil {
		t.Fatal(err)
	}
	observed.Wait()
	if most != 3 || least != 1 {
		t.Errorf("it went to %d and back to %d, want 3 and 1", most, least)
	}
	drain(t, stack)
}

func TestObserve(t *testing.T) {
	stack := boot(t, nil)
	var samples []system.Sample
	ctx, cancel := context.WithCancel(soon(t))
	defer cancel()
	stack.Observe(ctx, 20*time.Millisecond, func(s system.Sample) {
		samples = append(samples, s)
		if s.LagKnown && len(s.Breakers) > 0 && len(samples) > 5 {
			cancel()
		}
	})
	last := samples[len(samples)-1]
	for _, c := range components() {
		if last.Ready[c] != 1 || last.Desired[c] != 1 {
			t.Errorf("%s: %d of %d are ready", c, last.Ready[c], last.Desired[c])
		}
		p, ok := last.Processes[c.ReplicaName(0)]
		if !ok || p.RSSBytes <= 0 || p.PID == 0 || p.CPUCores < 0 {
			t.Errorf("%s uses %+v", c, p)
		}
	}
	var read []string
	for _, l := range last.Lag {
		read = append(read, strings.TrimSuffix(l.Group, "-group")+" of "+strings.TrimSuffix(l.Topic, "-topic"))
		if len(l.Partitions) != 40 {
			t.Errorf("lag is %+v", l)
		}
	}
	if want := []string{
		"inventory of orders", "inventory of payment", "payment of inventory", "payment of cancellations", "order of inventory", "order of payment",
		"notification of inventory", "notification of payment",
	}; !slices.Equal(read, want) {
		t.Errorf("the lag is that of %q, want %q", read, want)
	}
	if b := last.Breakers[0]; b.Replica != "gateway-0" || b.Name != "gateway->order" || b.State != "closed" {
		t.Errorf("the breakers are %+v", last.Breakers)
	}
	for i, s := range samples[1:] {
		if !s.At.After(samples[i].At) {
			t.Error("time stood still")
		}
	}
}

func TestLagOfABrokerThatIsDownIsUnknown(t *testing.T) {
	stack := boot(t, nil)
	if _, _, err := stack.Kill(soon(t), "broker-0", time.Hour); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(soon(t))
	defer cancel()
	stack.Observe(ctx, 20*time.Millisecond, func(s system.Sample) {
		if s.LagKnown {
			t.Error("somebody knows the lag")
		}
		if s.Ready[system.Broker] == 0 && s.Desired[system.Broker] == 1 {
			cancel()
		}
	})
	status := stack.Status(soon(t))
	if len(status.Lag) != 0 || status.LagError == "" {
		t.Errorf("lag %+v, error %q", status.Lag, status.LagError)
	}
	if _, err := stack.Drained(soon(t)); err == nil {
		t.Error("nobody knows whether it is drained, and there is no error")
	}
}

func TestTwoStacksDoNotMeet(t *testing.T) {
	a, b := boot(t, nil), boot(t, nil)
	addrs := map[string]bool{}
	for _, s := range []*system.Stack{a, b} {
		for _, c := range s.Status(soon(t)).Components {
			for _, r := range c.Replicas {
				if addrs[r.Addr] || addrs[r.Admin] {
					t.Errorf("%s shares an address", r.Name)
				}
				addrs[r.Addr], addrs[r.Admin] = true, true
			}
		}
	}
	ofA, ofB := order(t, a), order(t, b)
	drain(t, a)
	drain(t, b)
	if books := audit(t, a); len(books.orders) != 1 || books.orders[ofA].Status != "CONFIRMED" || len(books.events) != 1 {
		t.Errorf("the first has the orders %v", books.orders)
	}
	if books := audit(t, b); len(books.orders) != 1 || books.orders[ofB].Status != "CONFIRMED" || len(books.events) != 1 {
		t.Errorf("the second has the orders %v", books.orders)
	}
}

func TestGatewayReplicasShareTheirAddress(t *testing.T) {
	stack := boot(t, func(c *system.Config) { c.Gateway.Replicas = 2 })
	if _, _, err := stack.Kill(soon(t), "gateway-0", time.Hour); err != nil {
		t.Fatal(err)
	}
	order(t, stack)
}

func TestStackComesBackFromItsDirectory(t *testing.T) {
	cfg := config(t.TempDir())
	var ids []string
	for range 2 {
		stack, err := system.Boot(soon(t), runtime("serve"), cfg, nil)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, order(t, stack))
		drain(t, stack)
		b := audit(t, stack)
		if err := stack.Close(soon(t)); err != nil {
			t.Fatal(err)
		}
		for _, id := range ids {
			if !b.done(id) {
				t.Errorf("the books say %s", b.says(id))
			}
		}
	}
}

func TestCloseFreesTheGatewaysAddress(t *testing.T) {
	stack, err := system.Boot(soon(t), runtime("serve"), config(""), nil)
	if err != nil {
		t.Fatal(err)
	}
	dir, addr := stack.Config().Dir, strings.TrimPrefix(stack.URL(), "http://")
	if err := stack.Close(soon(t)); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the temporary directory %s is still there: %v", dir, err)
	}
	if _, err := stack.Drained(soon(t)); err == nil {
		t.Error("a closed stack has books")
	}
	if err := stack.Scale(soon(t), system.Inventory, 2); err == nil {
		t.Error("a closed stack was scaled")
	}
}

func TestCloseByForceLeavesNothing(t *testing.T) {
	cfg := config(t.TempDir())
	cfg.Inventory.MinReplicas = 3
	stack, err := system.Boot(soon(t), runtime("serve"), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := stack.Pause(soon(t), "inventory-1"); err != nil {
		t.Fatal(err)
	}
	now, cancel := context.WithCancel(t.Context())
	cancel()
	if err := stack.Close(now); err != nil {
		t.Fatal(err)
	}
	if left := processesOf(t, cfg.Dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestBootOfWhatDoesNotStart(t *testing.T) {
	cfg := config(t.TempDir())
	_, err := system.Boot(soon(t), runtime("broken"), cfg, nil)
	want := "boot: start order-0: exit status 3; the end of its log:\n  the order service has a cold"
	if err == nil || err.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
	if left := processesOf(t, cfg.Dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestBootOnAPortThatIsTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cfg := config(t.TempDir())
	cfg.Gateway.Addr = l.Addr().String()
	_, err = system.Boot(soon(t), runtime("serve"), cfg, nil)
	if want := "boot: gateway: reserve " + cfg.Gateway.Addr + ": address already in use"; err == nil || err.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
}

func TestBootThatIsInterrupted(t *testing.T) {
	cfg := config(t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := system.Boot(ctx, runtime("serve"), cfg, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if left := processesOf(t, cfg.Dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestBootWithoutADirectoryToWrite(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := system.Boot(soon(t), runtime("serve"), config(filepath.Join(file, "data")), nil); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("error %v", err)
	}
}

func TestConfigReportsEveryProblem(t *testing.T) {
	cfg := system.Config{Gateway: system.GatewayConfig{Addr: "8080"}, Scaling: system.ScalingConfig{By: "cpu"},
		Payment: system.PaymentConfig{Decline: -0.1, Timeout: 2}}
	err := cfg.Validate()
	for _, want := range []string{"gateway replicas", `"8080" is not host:port`, "order replicas", "payment replicas", "notification replicas", "decline", "timeout must be a share", "(min)", "(max)", "SKUs", "partitions", `"cpu" is unknown`, "gateway timeout"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
	if err := system.DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
}

func TestKilledParentLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	parent := exec.Command(os.Args[0], "parent", dir)
	parent.Stderr = os.Stderr
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	_, err = bufio.NewReader(out).ReadString('\n')
	running := processesOf(t, dir)
	_ = parent.Process.Kill()
	_ = parent.Wait() // "signal: killed"
	if err != nil || len(running) != 9 {
		t.Fatalf("the parent had %v, %v", running, err)
	}
	left := running
	for end := time.Now().Add(20 * time.Second); len(left) > 0 && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		left = processesOf(t, dir)
	}
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	stack, err := system.Boot(soon(t), runtime("serve"), config(dir), nil)
	if err != nil {
		t.Fatalf("the next stack: %v", err)
	}
	order(t, stack)
	if err := stack.Close(soon(t)); err != nil {
		t.Error(err)
	}
}

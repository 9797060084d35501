package conductor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ordbench/ordbench/chaos"
	"github.com/ordbench/ordbench/scenarios/conductor/control"
	"github.com/ordbench/ordbench/system"
	"github.com/ordbench/ordbench/system/bus"
	"github.com/ordbench/ordbench/system/events"
	"github.com/ordbench/ordbench/system/failpoint"
	"github.com/ordbench/ordbench/system/runtime/docker"
	"github.com/ordbench/ordbench/system/runtime/local"
	"github.com/ordbench/ordbench/system/runtime/serve"
	"github.com/ordbench/ordbench/system/telemetry"
)

// This binary is also the replicas that the tests start: "serve COMPONENT
// --config FILE --lease-fd 3"; and the reaper of containers, "reap STACK".
func TestMain(m *testing.M) {
	if len(os.Args) > 4 && os.Args[1] == "serve" {
		os.Exit(beReplica(os.Args[2], os.Args[4]))
	}
	if len(os.Args) == 3 && os.Args[1] == "reap" {
		if err := docker.Reap(os.Stdin, os.Args[2]); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func beReplica(component, config string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, os.NewFile(3, "lease"))
		if component == serve.Watchdog {
			stop()
			return
		}
		os.Exit(70)
	}()
	f, err := os.Open(config)
	if err == nil {
		err = serve.Run(ctx, component, f, telemetry.NewLogger(os.Stderr, component, ""))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 70
	}
	return 0
}

// open boots a stack of its own for a test, with a proxy in every link, and
// lets orders trickle in.
func open(t *testing.T) (*Session, *trickle) {
	t.Helper()
	return openOn(t, local.Runtime{Command: []string{os.Args[0], "serve"}}, small(), chaos.Links())
}

// openOn is open on a runtime. Where that needs Docker and there is none, the
// test is skipped, aloud.
func openOn(t *testing.T, rt system.Runtime, cfg system.Config, links []string) (*Session, *trickle) {
	t.Helper()
	run, err := os.MkdirTemp("", "ob") // short: a socket's path has 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(run) })
	t.Setenv("XDG_RUNTIME_DIR", run)
	dir := filepath.Join(t.TempDir(), "faults", "1")
	s, err := Open(t.Context(), rt, cfg, links, control.Info{ID: NewID("test"), Dir: dir, StartedAt: time.Now()}, nil)
	var none *docker.UnavailableError
	if errors.As(err, &none) && os.Getenv("ORDBENCH_REQUIRE_DOCKER") != "1" {
		t.Skipf("needs Docker: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	url, err := s.URL()
	if err != nil {
		t.Fatal(err)
	}
	return s, newTrickle(t, url)
}

// small is a system that has little to do, and does it at once.
func small() system.Config {
	cfg := system.DefaultConfig()
	cfg.Scaling.By = system.ScaleByNone
	cfg.Scaling.Partitions = 4
	cfg.Inventory.MinReplicas = 2
	cfg.Inventory.Work = 0
	cfg.Gateway.Timeout = time.Second
	cfg.Gateway.Breaker.OpenFor = 200 * time.Millisecond
	cfg.Patterns.Auth = false
	return cfg
}

// trickle places orders one after the other, so that faults find something to
// run into.
type trickle struct {
	url    string
	placed atomic.Int64
	last   atomic.Value // string: where the latest order is
}

func newTrickle(t *testing.T, url string) *trickle {
	tr := &trickle{url: url}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{}}
	for n := range 4 {
		running.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				body := fmt.Sprintf(`{"user_id":"u%d-%d","total":%d.95}`, n, i, 1+i%90)
				req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/orders", strings.NewReader(body))
				if err != nil {
					return
				}
				req.Header.Set("Content-Type", "application/json")
				req.Header.Set("X-Forwarded-For", fmt.Sprintf("10.%d.%d.%d", n, i/250%250, i%250))
				res, err := client.Do(req)
				if err == nil {
					if res.StatusCode == http.StatusAccepted {
						tr.last.Store(res.Header.Get("Location"))
						tr.placed.Add(1)
					}
					_, _ = io.Copy(io.Discard, res.Body)
					res.Body.Close()
				}
				if !pauseFor(ctx, 10*time.Millisecond) {
					return
				}
			}
		})
	}
	t.Cleanup(func() {
		stop()
		running.Wait()
		client.CloseIdleConnections()
	})
	return tr
}

func pauseFor(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// flowing waits until orders are taken again, and one of them has come to its
// end: then there is work for every service.
func (tr *trickle) flowing(t *testing.T) {
	t.Helper()
	before := tr.placed.Load()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for tr.placed.Load() < before+5 {
		if !pauseFor(ctx, 5*time.Millisecond) {
			t.Fatal("no order is taken any more")
		}
	}
	last := tr.last.Load().(string)
	for n := 0; !tr.ended(ctx, last, n); n++ {
		if !pauseFor(ctx, 5*time.Millisecond) {
			t.Fatalf("%s does not come to its end", last)
		}
	}
}

// ended asks whether an order has come to its end. Each time another client
// asks, or the rate limit would answer.
func (tr *trickle) ended(ctx context.Context, order string, n int) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, tr.url+order, nil)
	if err != nil {
		return false
	}
	req.Header.Set("X-Forwarded-For", fmt.Sprintf("10.9.%d.%d", n/250%250, n%250))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	var found struct{ Status string }
	return json.NewDecoder(res.Body).Decode(&found) == nil && found.Status != "" && found.Status != "PENDING"
}

// await polls the record of a fault until it is as it should be.
func await(t *testing.T, s *Session, name, what string, is func(chaos.Record) bool) chaos.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		var rec chaos.Record
		for _, r := range s.Faults.Records() {
			if r.Spec.Name == name {
				rec = r
			}
		}
		if is(rec) {
			return rec
		}
		if !pauseFor(ctx, 10*time.Millisecond) {
			t.Fatalf("%s was not %s in time: %+v", name, what, rec)
		}
	}
}

// cases has each fault of the catalogue once, with what is short enough to be
// waited for and long enough to be run into.
var cases = []chaos.Spec{
	{Fault: "kill", Target: "notification", Options: chaos.Options{"restart_after": "200ms"}},
	{Fault: "stop", Target: "payment", Options: chaos.Options{"for": "200ms"}},
	{Fault: "pause", Target: "inventory", Options: chaos.Options{"for": "300ms", "replicas": "50%"}},
	{Fault: "restart", Target: "order"},
	{Fault: "crash-loop", Target: "notification", Options: chaos.Options{"for": "1s", "alive": "50ms"}},
	{Fault: "failpoint", Target: "inventory", Options: chaos.Options{"point": "inventory.before-commit", "replicas": "1", "for": "1s"}},
	{Fault: "latency", Target: "gateway->order", Options: chaos.Options{"delay": "50ms", "jitter": "10ms", "spread": "normal", "for": "500ms"}},
	{Fault: "bandwidth", Target: "order->broker", Options: chaos.Options{"rate": "64KiB/s", "for": "500ms"}},
	{Fault: "reset", Target: "client->gateway", Options: chaos.Options{"share": "50%", "for": "300ms"}},
	{Fault: "half-open", Target: "gateway->cache", Options: chaos.Options{"for": "300ms"}},
	{Fault: "slice", Target: "gateway->order", Options: chaos.Options{"for": "300ms"}},
	{Fault: "cut", Target: "gateway->inventory", Options: chaos.Options{"for": "300ms"}},
	{Fault: "drop-after", Target: "inventory->broker", Options: chaos.Options{"bytes": "2KiB", "for": "500ms"}},
	{Fault: "flap", Target: "payment->broker", Options: chaos.Options{"for": "700ms", "down": "100ms", "up": "100ms"}},
	{Fault: "partition", Target: "order+inventory|broker", Options: chaos.Options{"for": "300ms"}},
	{Fault: "partition", Target: "broker->notification", Options: chaos.Options{"for": "300ms"}},
	{Fault: "leader-unavailable", Target: "broker", Options: chaos.Options{"for": "500ms"}},
	{Fault: "produce-errors", Target: "broker", Options: chaos.Options{"for": "500ms", "share": "50%"}},
	{Fault: "fetch-errors", Target: "broker", Options: chaos.Options{"for": "500ms"}},
	{Fault: "commit-errors", Target: "broker", Options: chaos.Options{"for": "1s"}},
	{Fault: "rebalance-storm", Target: "broker", Options: chaos.Options{"for": "1s"}},
	{Fault: "poison", Target: "broker", Options: chaos.Options{"messages": "3"}},
	{Fault: "slow-database", Target: "order", Options: chaos.Options{"delay": "20ms", "for": "500ms"}},
	{Fault: "failing-database", Target: "inventory", Options: chaos.Options{"share": "50%", "for": "500ms"}},
	{Fault: "lock-held", Target: "order", Options: chaos.Options{"for": "300ms"}},
	{Fault: "disk-full", Target: "order", Options: chaos.Options{"for": "300ms"}},
	{Fault: "cache-flush", Target: "cache"},
	{Fault: "cache-away", Target: "cache", Options: chaos.Options{"for": "300ms"}},
	{Fault: "provider-latency", Target: "payment", Options: chaos.Options{"delay": "20ms", "for": "500ms"}},
	{Fault: "decline-storm", Target: "payment", Options: chaos.Options{"for": "500ms"}},
	{Fault: "timeout-storm", Target: "payment", Options: chaos.Options{"for": "500ms"}},
	{Fault: "cpu-limit", Target: "gateway", Options: chaos.Options{"cores": "0.02", "for": "1s"}},
	{Fault: "cpu-burn", Target: "notification", Options: chaos.Options{"cores": "0.5", "for": "500ms"}},
	{Fault: "memory", Target: "notification", Options: chaos.Options{"bytes": "32MiB", "for": "300ms"}},
	{Fault: "redrive", Target: "broker"}, // last: what poison left is given up by then
	{Fault: "files", Target: "gateway", Options: chaos.Options{"for": "300ms"}},
	{Fault: "clock", Target: "order", Options: chaos.Options{"offset": "2s", "for": "500ms"}},
}

func TestEachFaultShowsItsEffectAndIsUndone(t *testing.T) {
	s, orders := open(t)
	orders.flowing(t)
	showsAndUndoes(t, s, orders, cases)
	t.Run("resume", func(t *testing.T) {
		paused, err := s.Inject(t.Context(), chaos.Spec{Fault: "pause", Target: "inventory"})
		if err != nil {
			t.Fatal(err)
		}
		if rec, err := s.Inject(t.Context(), chaos.Spec{Fault: "resume", Target: "inventory"}); err != nil || !rec.Effective {
			t.Errorf("%+v, %v", rec, err)
		}
		await(t, s, paused.Spec.Name, "over", func(r chaos.Record) bool { return r.Reverted })
	})
}

// showsAndUndoes makes each of the faults, sees that it has an effect and an
// end, and that orders are taken then. What the catalogue has for the runtime
// and is neither among them nor tried elsewhere is an error; what can't be made is refused.
func showsAndUndoes(t *testing.T, s *Session, orders *trickle, specs []chaos.Spec, others ...string) {
	t.Helper()
	runtime := s.Stack.Runtime()
	tried := map[string]bool{"resume": true} // it needs one that is paused
	for _, name := range others {
		tried[name] = true
	}
	for _, spec := range specs {
		tried[spec.Fault] = true
		d, _ := chaos.Find(spec.Fault)
		t.Run(spec.DefaultName(), func(t *testing.T) {
			for _, n := range needsOf(d.Name) {
				if n.Missing != "" && (n.On == "" || n.On == runtime) {
					t.Skipf("it needs %s: %s", n.What, n.Missing)
				}
			}
			rec, err := s.Inject(t.Context(), spec)
			if err != nil {
				t.Fatalf("%v; %+v", err, rec)
			}
			rec = await(t, s, rec.Spec.Name, "over", func(r chaos.Record) bool { return !r.Ended.IsZero() && r.Reverted || r.Error != "" })
			if !rec.Effective || !rec.Reverted || rec.Error != "" || len(rec.Proof) == 0 {
				t.Errorf("%+v", rec)
			}
			if _, err := s.Heal(t.Context()); err != nil {
				t.Error(err)
			}
			orders.flowing(t)
		})
	}
	for _, d := range chaos.Catalogue() {
		_, elsewhere := d.NotOn[runtime]
		if elsewhere {
			t.Run(d.Name, func(t *testing.T) {
				var usage *chaos.UsageError
				if rec, err := s.Inject(t.Context(), chaos.Spec{Fault: d.Name, Target: d.Targets[0]}); !errors.As(err, &usage) {
					t.Errorf("it is not refused: %+v, %v", rec, err)
				}
			})
		} else if !tried[d.Name] {
			t.Errorf("%s is not tried here", d.Name)
		}
	}
}

func needsOf(name string) []chaos.Need {
	for _, d := range chaos.Catalogue() {
		if d.Name == name {
			return d.Needs
		}
	}
	return nil
}

// TestTheCatalogueKnowsTheServices holds the names that faults take to those of
// the system, which the catalogue may not import.
func TestTheCatalogueKnowsTheServices(t *testing.T) {
	topics := []string{events.OrdersTopic, events.InventoryTopic, events.PaymentTopic}
	for _, component := range []string{"order", "inventory", "payment", "notification"} {
		if diff := cmp.Diff(failpoint.Catalogue(component), chaos.Points(component)); diff != "" {
			t.Errorf("points of %s (-services +faults):\n%s", component, diff)
		}
		topics = append(topics, bus.RetryTopic(component+"-group"), bus.DeadTopic(component+"-group"))
	}
	for _, topic := range topics {
		if p := (chaos.Spec{Fault: "poison", Target: "broker", Options: chaos.Options{"topic": topic}}).Validate(); len(p) > 0 {
			t.Error(p[0])
		}
	}
}

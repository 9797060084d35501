package conductor

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ordbench/ordbench/chaos"
)

// outliving is a fault that stands while its target is killed.
type outliving struct {
	spec  chaos.Spec
	again string // a further line of its proof says so; "": its link is counted on
}

// momentary are the faults that a restart of their target can't outlast: they
// are over once they are made, or they are what took the target away.
var momentary = []string{"kill", "stop", "resume", "restart", "cache-away", "cache-flush", "poison", "redrive", "kill-leader"}

// survivors are the faults that come back, by the replica that is killed. Those
// of one round stand side by side.
var survivors = []struct {
	kills  string
	faults []outliving
}{
	{"inventory-0", []outliving{
		{chaos.Spec{Fault: "slow-database", Target: "inventory-0", Options: chaos.Options{"delay": "1ms"}}, "is set again"},
		{chaos.Spec{Fault: "failing-database", Target: "inventory-0", Options: chaos.Options{"share": "1%"}}, "is set again"},
		{chaos.Spec{Fault: "cpu-burn", Target: "inventory-0", Options: chaos.Options{"cores": "0.05"}}, "is set again"},
		{chaos.Spec{Fault: "memory", Target: "inventory-0", Options: chaos.Options{"bytes": "1MiB"}}, "is set again"},
		{chaos.Spec{Fault: "clock", Target: "inventory-0", Options: chaos.Options{"offset": "1s"}}, "is set again"},
		{chaos.Spec{Fault: "files", Target: "inventory-0", Options: chaos.Options{"spare": "100"}}, "files open"},
		{chaos.Spec{Fault: "disk-full", Target: "inventory-0", Options: chaos.Options{"bytes": "1GiB"}}, "can't write beyond byte"},
		{chaos.Spec{Fault: "cpu-limit", Target: "inventory-0", Options: chaos.Options{"cores": "0.9"}}, "cores again"},
		{chaos.Spec{Fault: "failpoint", Target: "inventory-0", Options: chaos.Options{"point": "inventory.after-commit", "action": "pause", "wait": "1ms", "for": "0s"}}, "is armed in"},
	}},
	{"payment-0", []outliving{
		{chaos.Spec{Fault: "provider-latency", Target: "payment", Options: chaos.Options{"delay": "1ms"}}, "is set again"},
		{chaos.Spec{Fault: "decline-storm", Target: "payment", Options: chaos.Options{"share": "1%"}}, "is set again"},
		{chaos.Spec{Fault: "timeout-storm", Target: "payment", Options: chaos.Options{"share": "1%"}}, "is set again"},
	}},
	{"broker-0", []outliving{
		{chaos.Spec{Fault: "produce-errors", Target: "broker", Options: chaos.Options{"share": "1%"}}, "is set again"},
		{chaos.Spec{Fault: "fetch-errors", Target: "broker", Options: chaos.Options{"share": "1%"}}, "is set again"},
		{chaos.Spec{Fault: "commit-errors", Target: "broker", Options: chaos.Options{"share": "1%"}}, "is set again"},
		{chaos.Spec{Fault: "rebalance-storm", Target: "broker", Options: chaos.Options{"every": "1m"}}, "is set again"},
		{chaos.Spec{Fault: "leader-unavailable", Target: "broker"}, "is set again"},
	}},
	{"notification-0", []outliving{
		{chaos.Spec{Fault: "pause", Target: "notification-0"}, "in state T"},
	}},
	{"order-0", []outliving{
		{spec: chaos.Spec{Fault: "latency", Target: "gateway->order", Options: chaos.Options{"delay": "1ms"}}},
		{spec: chaos.Spec{Fault: "bandwidth", Target: "gateway->order", Options: chaos.Options{"rate": "10MB/s"}}},
		{spec: chaos.Spec{Fault: "slice", Target: "gateway->order", Options: chaos.Options{"bytes": "1KiB", "gap": "1ms"}}},
		{spec: chaos.Spec{Fault: "drop-after", Target: "gateway->order", Options: chaos.Options{"bytes": "1MiB"}}},
	}},
	{"order-0", []outliving{
		{spec: chaos.Spec{Fault: "cut", Target: "gateway->order", Options: chaos.Options{"share": "30%"}}},
		{spec: chaos.Spec{Fault: "half-open", Target: "gateway->order", Options: chaos.Options{"share": "30%"}}},
		{spec: chaos.Spec{Fault: "reset", Target: "gateway->order", Options: chaos.Options{"after": "50ms"}}}, // so that there are always new ones
		{spec: chaos.Spec{Fault: "partition", Target: "gateway|order", Options: chaos.Options{"share": "30%"}}},
		{spec: chaos.Spec{Fault: "flap", Target: "gateway->order", Options: chaos.Options{"share": "50%", "down": "200ms", "up": "100ms"}}},
	}},
}

func TestFaultsComeBackAfterARestartOfTheirTarget(t *testing.T) {
	s, orders := open(t)
	orders.flowing(t)
	tried := slices.Clone(momentary)
	for _, round := range survivors {
		for _, f := range round.faults {
			tried = append(tried, f.spec.Fault)
		}
		t.Run(round.kills, func(t *testing.T) {
			comeBack(t, s, round.kills, round.faults)
			orders.flowing(t)
		})
	}
	t.Run("lock-held", func(t *testing.T) {
		lockOutlives(t, s, orders)
		orders.flowing(t)
	})
	t.Run("crash-loop", func(t *testing.T) { loopOutlives(t, s) })
	tried = append(tried, "lock-held", "crash-loop")
	for _, d := range chaos.Catalogue() {
		if d.NotOn["local"] == "" && !slices.Contains(tried, d.Name) {
			t.Errorf("whether %s comes back is not tried", d.Name)
		}
	}
}

// comeBack makes faults, kills a replica that they stand on, and sees each of
// them at work in the process, or on the connections, that come in its place.
func comeBack(t *testing.T, s *Session, kills string, faults []outliving) {
	t.Helper()
	type made struct {
		outliving
		name   string
		rule   string // on its link
		before int64
	}
	var all []*made
	var making sync.WaitGroup // those without a witness take a while to say so
	runtime := s.Stack.Runtime()
	for _, f := range faults {
		if slices.ContainsFunc(needsOf(f.spec.Fault), func(n chaos.Need) bool { return n.Missing != "" && (n.On == "" || n.On == runtime) }) {
			t.Logf("%s can't be made here", f.spec.Fault)
			continue
		}
		m := &made{outliving: f}
		all = append(all, m)
		inject := func() {
			m.rule = fmt.Sprintf("%s-%d", f.spec.Fault, len(s.Faults.Records())) // as the engine calls it
			rec, err := s.Inject(t.Context(), f.spec)
			if err != nil {
				t.Errorf("%v: %+v", err, rec)
			}
			m.name = rec.Spec.Name
		}
		if f.again == "" {
			inject()
		} else {
			making.Go(inject)
		}
	}
	making.Wait()
	lines := func(r chaos.Record, text string) (n int64) {
		for _, line := range r.Proof {
			if strings.Contains(line, text) {
				n++
			}
		}
		return n
	}
	for _, m := range all {
		if m.again != "" {
			m.before = lines(await(t, s, m.name, "there", func(r chaos.Record) bool { return r.Spec.Name == m.name }), m.again)
		}
	}
	if _, err := s.Inject(t.Context(), chaos.Spec{Fault: "kill", Target: kills}); err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		// Connections to the one that died are gone with it: what is met from
		// here on is new.
		if m.again == "" && m.spec.Fault != "flap" { // whose turns count for themselves
			m.before = met(t, s, m.spec, m.rule)
		}
	}
	for _, m := range all {
		if m.again != "" {
			await(t, s, m.name, "made again", func(r chaos.Record) bool { return lines(r, m.again) > m.before })
		} else {
			await(t, s, m.name, "met again", func(chaos.Record) bool { return met(t, s, m.spec, m.rule) > m.before })
		}
	}
	if _, err := s.Heal(t.Context()); err != nil {
		t.Error(err)
	}
	for _, m := range all {
		await(t, s, m.name, "over", func(r chaos.Record) bool { return r.Reverted })
	}
}

// met counts the connections that met a rule of a fault.
func met(t *testing.T, s *Session, spec chaos.Spec, rule string) (n int64) {
	t.Helper()
	for _, link := range spec.LinksOf() {
		proxies, err := s.wiring.Link(link)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range proxies {
			c, _ := p.Count(rule)
			n += c.Connections
		}
	}
	return n
}

// lockOutlives holds the lock of a database against a service that starts
// anew: it can't take an order.
func lockOutlives(t *testing.T, s *Session, orders *trickle) {
	t.Helper()
	if _, err := s.Inject(t.Context(), chaos.Spec{Fault: "lock-held", Target: "order"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Inject(t.Context(), chaos.Spec{Fault: "kill", Target: "order-0"}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for len(s.Stack.Running("order")) == 0 {
		if !pauseFor(ctx, 5*time.Millisecond) {
			t.Fatal("the order service does not come back")
		}
	}
	if code := orders.place(t, "locked", nil); code == http.StatusAccepted {
		t.Error("an order was taken while its database was locked")
	}
	if _, err := s.Heal(t.Context()); err != nil {
		t.Error(err)
	}
}

// loopOutlives kills, beside a crash loop, what the loop is about to kill: it
// goes on with what comes in its place.
func loopOutlives(t *testing.T, s *Session) {
	t.Helper()
	if _, err := s.Inject(t.Context(), chaos.Spec{Fault: "crash-loop", Target: "notification-0", Options: chaos.Options{"alive": "100ms"}}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	pids := map[int]bool{}
	killed := false
	for len(pids) < 4 {
		for _, c := range s.Stack.Status(ctx).Components {
			for _, r := range c.Replicas {
				if r.Name == "notification-0" && r.PID != 0 {
					pids[r.PID] = true
				}
			}
		}
		if len(pids) == 1 && !killed {
			_, err := s.Inject(t.Context(), chaos.Spec{Fault: "kill", Target: "notification-0"})
			killed = err == nil // the loop may have been first
		}
		if !pauseFor(ctx, 5*time.Millisecond) {
			t.Fatalf("the loop has ended: %v", pids)
		}
	}
	if _, err := s.Heal(t.Context()); err != nil {
		t.Error(err)
	}
}

// place sends one order on a connection of its own, and returns the status,
// 0 where there was no answer. The user is its idempotency key too.
func (tr *trickle) place(t *testing.T, user string, answer *http.Header) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, tr.url+"/orders", strings.NewReader(`{"user_id":"`+user+`","total":7.95}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", user)
	req.Header.Set("X-Forwarded-For", "10.8.0.1")
	res, err := (&http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	if answer != nil {
		*answer = res.Header
	}
	return res.StatusCode
}

// A share of a cut, of a partition and of a flap is a share: of many new
// connections some are turned away and some are not, and all pass when it is
// over.
func TestAShareOfALinkFaultIsAShare(t *testing.T) {
	s, orders := open(t)
	orders.flowing(t)
	dial := func(within time.Duration) bool {
		proxies := s.wiring.proxies["client->gateway"]
		c, err := net.Dial("tcp4", proxies[0].Addr())
		if err != nil {
			return false
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(within)) // what is held never answers
		if _, err := io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
			return false
		}
		n, _ := c.Read(make([]byte, 1))
		return n == 1
	}
	for _, spec := range []chaos.Spec{
		{Fault: "cut", Target: "client->gateway", Options: chaos.Options{"share": "40%"}},
		{Fault: "partition", Target: "client|gateway", Options: chaos.Options{"share": "40%"}},
		{Fault: "flap", Target: "client->gateway", Options: chaos.Options{"share": "40%", "down": "1h"}},
		{Fault: "reset", Target: "client->gateway", Options: chaos.Options{"share": "40%"}},
	} {
		t.Run(spec.Fault, func(t *testing.T) {
			rec, err := s.Inject(t.Context(), spec)
			if err != nil || !rec.Effective {
				t.Fatalf("%+v, %v", rec, err)
			}
			const tries = 60
			var count atomic.Int64
			var all sync.WaitGroup
			for range tries {
				all.Go(func() {
					if dial(3 * time.Second) {
						count.Add(1)
					}
				})
			}
			all.Wait()
			passed := count.Load()
			// 36 are to be expected; fewer than 20 or more than 52 come once in
			// some hundred thousand times.
			if passed < 20 || passed > 52 {
				t.Errorf("%d of %d connections passed at a share of 40%%", passed, tries)
			}
			if _, err := s.Heal(t.Context()); err != nil {
				t.Error(err)
			}
			for range 20 {
				if !dial(time.Minute) {
					t.Fatal("a connection does not pass after the end")
				}
			}
		})
	}
}

// A cut of the way back loses the answer, and not what was asked for.
func TestACutOfTheWayBackLosesTheAnswerOnly(t *testing.T) {
	s, orders := open(t)
	orders.flowing(t)
	for direction, done := range map[string]bool{"forward": false, "backward": true} {
		t.Run(direction, func(t *testing.T) {
			rec, err := s.Inject(t.Context(), chaos.Spec{Fault: "cut", Target: "client->gateway", Options: chaos.Options{"direction": direction}})
			if err != nil || !rec.Effective {
				t.Fatalf("%+v, %v", rec, err)
			}
			key := "one-way-" + direction
			if code := orders.place(t, key, nil); code != 0 {
				t.Errorf("it was answered with %d", code)
			}
			if _, err := s.Heal(t.Context()); err != nil {
				t.Error(err)
			}
			var answer http.Header
			if code := orders.place(t, key, &answer); code != http.StatusAccepted || (answer.Get("Idempotency-Replayed") == "true") != done {
				t.Errorf("asked again: %d, replayed: %q, want %t", code, answer.Get("Idempotency-Replayed"), done)
			}
		})
	}
}

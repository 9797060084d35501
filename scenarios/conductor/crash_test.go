package conductor

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ordbench/ordbench/loadgen"
	"github.com/ordbench/ordbench/reports"
	"github.com/ordbench/ordbench/reports/check"
	"github.com/ordbench/ordbench/system"
	"github.com/ordbench/ordbench/system/events"
	"github.com/ordbench/ordbench/system/failpoint"
	"github.com/ordbench/ordbench/system/runtime/local"
	"github.com/ordbench/ordbench/system/store/storetest"
)

var crashRounds = flag.Int("crash-rounds", 1, "how often each service is killed at each of its failpoints")

// Every service kills itself between any two steps that it takes, all
// services at the same time, while customers order; and nothing is lost,
// doubled or stuck.
func TestTheBooksBalanceWhateverStepAServiceDiesAt(t *testing.T) {
	s := bootForCrashes(t, nil)
	stop := s.order(t)
	s.inParallel(t, []string{"order", "inventory", "payment", "notification"}, func(component string) {
		for range *crashRounds {
			for _, point := range failpoint.Catalogue(component) {
				if !strings.Contains(point, ".2pc.") {
					s.crash(t, component+"-0", point)
				}
			}
		}
	})
	stop()
	s.wantBalance(t)
}

// Coordinator and participants kill themselves between any two steps of
// two-phase commit, at the same time. What each of them had promised or
// decided is brought to its end by who comes after it.
func TestTheBooksBalanceWhateverStepOfTwoPhasesAServiceDiesAt(t *testing.T) {
	server := storetest.Private(t)
	s := bootForCrashes(t, func(cfg *system.Config) {
		cfg.Consistency, cfg.Database.URL = system.Consistency2PC, server.URL()
		cfg.Inventory.MinReplicas, cfg.Inventory.MaxReplicas = 1, 1
	})
	stop := s.order(t)
	s.inParallel(t, []string{"order", "inventory", "payment"}, func(component string) {
		for range *crashRounds {
			for _, point := range failpoint.Catalogue(component) {
				if strings.Contains(point, ".2pc.") || strings.HasPrefix(point, "order.place.") {
					s.crash(t, component+"-0", point)
				}
			}
		}
	})
	stop()
	s.wantBalance(t)
}

// Without a death the books of calls in line balance too: what is judged there
// is not judged by events.
func TestTheBooksOfCallsInLineBalance(t *testing.T) {
	s := bootForCrashes(t, func(cfg *system.Config) { cfg.Coupling = system.CouplingSync })
	for n := range 40 {
		s.orderOne(soon(t), fmt.Sprint("key-", n), n)
	}
	s.wantBalance(t)
}

// The server with all books dies, with promises in it, and comes back with them.
func TestTheBooksOfTwoPhasesBalanceWhenTheirServerDies(t *testing.T) {
	server := storetest.Private(t)
	s := bootForCrashes(t, func(cfg *system.Config) {
		cfg.Consistency, cfg.Database.URL = system.Consistency2PC, server.URL()
	})
	stop := s.order(t)
	for n := range 20 {
		s.orderOne(soon(t), fmt.Sprint("before-", n), 100_000+n)
	}
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	for n := range 20 {
		s.orderOne(soon(t), fmt.Sprint("after-", n), 200_000+n)
	}
	stop()
	s.wantBalance(t)
}

// A participant that never keeps its promise is seen: nothing moves any more,
// and the order that its customer was told of is not everywhere.
func TestAPromiseThatIsNeverKeptShows(t *testing.T) {
	server := storetest.Private(t)
	s := bootForCrashes(t, func(cfg *system.Config) {
		cfg.Consistency, cfg.Database.URL = system.Consistency2PC, server.URL()
		cfg.Payment.Decline = 0
	})
	ctx := soon(t)
	if err := s.stack.Arm(ctx, "inventory-0", "inventory.2pc.before-commit", failpoint.Plan{Action: failpoint.Error}); err != nil {
		t.Fatal(err)
	}
	s.orderOne(ctx, "key", 0)
	broken := map[string]bool{}
	for _, i := range s.judge(t).Invariants {
		broken[i.ID] = i.Outcome == reports.Broken
	}
	if !broken[reports.NothingInDoubt] || !broken[reports.StatusValid] {
		t.Errorf("broken are %v, want what is in doubt, and the status of an order without stock", broken)
	}
}

// The same deaths are seen where the pattern is off that makes them harmless.
func TestADeathBetweenCommitAndOffsetShowsWithoutTheInbox(t *testing.T) {
	s := bootForCrashes(t, func(cfg *system.Config) { cfg.Patterns.Inbox = false })
	stop := s.order(t)
	for _, point := range []string{"payment.before-offset-commit", "payment.relay.after-publish", "notification.before-offset-commit"} {
		s.crash(t, strings.Split(point, ".")[0]+"-0", point)
	}
	stop()
	if v := s.judge(t); v.Orders.Duplicated == 0 {
		t.Errorf("nothing is doubled: %+v", v.Orders)
	}
}

// crashes is a stack whose services are about to die.
type crashes struct {
	stack *system.Stack
	mu    sync.Mutex
	told  []loadgen.Attempt // what customers were told
}

func bootForCrashes(t *testing.T, change func(*system.Config)) *crashes {
	t.Helper()
	cfg := system.DefaultConfig()
	cfg.Dir = t.TempDir()
	cfg.Scaling.By, cfg.Scaling.Partitions = system.ScaleByNone, 8
	cfg.Inventory.Work, cfg.Payment.Work, cfg.Payment.Decline = 0, 0, 0.2
	cfg.Patterns.RateLimit, cfg.Patterns.Auth, cfg.Patterns.Breaker = false, false, false
	if change != nil {
		change(&cfg)
	}
	stack, err := system.Boot(soon(t), local.Runtime{Command: []string{os.Args[0], "serve"}}, cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := stack.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return &crashes{stack: stack}
}

// soon bounds what a test waits for.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// order has customers order one after the other until stop. Each asks again
// under the same key until it is told something certain.
func (s *crashes) order(t *testing.T) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var gone sync.WaitGroup
	for customer := range 3 {
		gone.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				id := s.orderOne(ctx, fmt.Sprintf("key-%d-%d", customer, n), 3*n+customer)
				if n%3 == 0 {
					gone.Go(func() { s.cancelOne(ctx, id, time.Duration(n%7)*20*time.Millisecond) })
				}
				select {
				case <-time.After(20 * time.Millisecond):
				case <-ctx.Done():
				}
			}
		})
	}
	stop = sync.OnceFunc(func() { cancel(); gone.Wait() })
	t.Cleanup(stop)
	return stop
}

// cancelOne cancels an order after a while, wherever that is by then, and asks
// again until it is told something certain.
func (s *crashes) cancelOne(ctx context.Context, id string, after time.Duration) {
	for pause := after; id != ""; pause = 10 * time.Millisecond {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.stack.URL()+"/orders/"+id+"/cancel", nil)
		if err != nil {
			return
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			continue
		}
		res.Body.Close()
		if res.StatusCode == http.StatusAccepted || res.StatusCode == http.StatusConflict {
			return
		}
	}
}

// orderOne places the n-th order and returns its id, "" if there is none.
// Different orders are of different articles, so that one which is in doubt
// holds up few others.
func (s *crashes) orderOne(ctx context.Context, key string, n int) string {
	a := loadgen.Attempt{Key: key, Certainty: loadgen.Unknown}
	for ctx.Err() == nil && a.OrderID == "" {
		if a.OrderID = s.post(ctx, key, n); a.OrderID == "" {
			select {
			case <-time.After(10 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	}
	if a.OrderID != "" {
		a.Certainty = loadgen.Happened
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a.Seq = uint64(len(s.told))
	s.told = append(s.told, a)
	return a.OrderID
}

// post returns the id of an accepted order.
func (s *crashes) post(ctx context.Context, key string, n int) (id string) {
	body := fmt.Sprintf(`{"user_id":"user-%d","total":12.50,"items":[{"sku":%q,"quantity":1},{"sku":%q,"quantity":2}]}`,
		n, events.SKU(1+n%500), events.SKU(501+n%499))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.stack.URL()+"/orders", bytes.NewReader([]byte(body)))
	if err != nil {
		return ""
	}
	req.Header["Idempotency-Key"] = []string{key}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return ""
	}
	defer res.Body.Close()
	var answer struct {
		OrderID string `json:"order_id"`
	}
	if res.StatusCode != http.StatusAccepted && res.StatusCode != http.StatusCreated || json.NewDecoder(res.Body).Decode(&answer) != nil {
		return ""
	}
	return answer.OrderID
}

// failing are the points at which a message fails, so that it is set aside.
var failing = map[string]string{
	"order":        "order.consume.before-commit",
	"inventory":    "inventory.before-commit",
	"payment":      "payment.before-charge",
	"notification": "notification.before-commit",
}

// crash has a replica kill itself at a point, at one of the next few hits, and
// returns when it is ready again.
func (s *crashes) crash(t *testing.T, replica, point string) {
	ctx := soon(t)
	component, where, _ := strings.Cut(point, ".")
	plan := failpoint.Plan{Action: failpoint.Crash, After: rand.Uint64N(4), Times: 1}
	if strings.HasPrefix(where, "aside.") {
		plan.After = 0
		// Twice: the batch, and then the message by itself.
		if err := s.stack.Arm(ctx, replica, failing[component], failpoint.Plan{Action: failpoint.Error, Times: 2}); err != nil {
			t.Errorf("%s: %v", point, err)
			return
		}
	}
	if err := s.stack.Arm(ctx, replica, point, plan); err != nil {
		t.Errorf("%s: %v", point, err)
		return
	}
	for armed := true; armed; {
		states, err := s.stack.Failpoints(ctx, replica)
		armed = err == nil && fresh(states, point)
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			t.Errorf("%s was not reached: %+v", point, states)
			return
		}
	}
	// One that is down is only started, so an orderly end would be of one that
	// did not die.
	_, detail, err := s.stack.Restart(ctx, replica)
	if err != nil || strings.Contains(detail, "is gone (") && !strings.Contains(detail, "(signal: killed)") {
		t.Errorf("%s did not die: %s, %v", point, detail, err)
	}
}

// fresh says that the process is still the one in which point was armed.
func fresh(states []failpoint.State, point string) bool {
	for _, s := range states {
		if s.Name == point {
			return s.Armed != nil
		}
	}
	return false
}

// inParallel does something with each component at the same time.
func (s *crashes) inParallel(t *testing.T, components []string, do func(component string)) {
	t.Helper()
	var all sync.WaitGroup
	for _, c := range components {
		all.Go(func() { do(c) })
	}
	all.Wait()
}

// wantBalance holds every law, over orders of every end.
func (s *crashes) wantBalance(t *testing.T) {
	t.Helper()
	v := s.judge(t)
	for _, i := range v.Invariants {
		if i.Outcome != reports.Held {
			t.Errorf("%s %s: %s %v", i.Outcome, i.ID, i.Detail, i.Evidence)
		}
	}
	o := v.Orders
	t.Logf("%+v", o)
	if o.Accepted == 0 || o.Completed == 0 || o.Compensated == 0 || o.Lost+o.Duplicated+o.Phantom+o.Unexpected+o.Pending+o.Parked != 0 {
		t.Errorf("the orders are %+v", o)
	}
}

// judge waits until nothing moves, and holds what customers were told against
// the books.
func (s *crashes) judge(t *testing.T) check.Judgement {
	t.Helper()
	ctx := soon(t)
	drain, err := awaitDrain(ctx, s.stack, time.Minute, nil)
	if err != nil || !drain.Settled {
		t.Fatalf("the stack does not come to rest: %s, %v", drain, err)
	}
	book := check.NewBook(check.Options{})
	for _, a := range s.told {
		if err := book.Attempt(a); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.stack.Audit(ctx, book); err != nil {
		t.Fatal(err)
	}
	cfg := s.stack.Config()
	return book.Close(check.Closing{
		Drained: true, HaveLedger: true, Attempts: uint64(len(s.told)),
		OutboxOn: cfg.Patterns.Outbox, InboxOn: cfg.Patterns.Inbox,
		Direct: cfg.Inline(), TwoPhase: cfg.Consistency == system.Consistency2PC,
	})
}

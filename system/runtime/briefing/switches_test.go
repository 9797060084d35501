package briefing

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ordbench/ordbench/system"
)

// everySwitch is what can be switched, and what comes of it: whom the switch
// tells something else, where "gateway.Bearer" is a key of its configuration
// or the beginning of one, and the test that shows what that changes.
var everySwitch = map[string]struct {
	flip  func(*system.Config)
	tells []string
	shown string // directory and name of a test
}{
	"outbox": {func(c *system.Config) { c.Patterns.Outbox = false },
		[]string{"order.outbox"}, "system/services TestAKillLosesOrdersOnlyWithoutTheOutbox"},
	"inbox": {func(c *system.Config) { c.Patterns.Inbox = false },
		[]string{"inventory.inbox", "notification.inbox", "order.inbox", "payment.inbox"}, "system/services TestRedelivery"},
	"idempotency": {func(c *system.Config) { c.Patterns.Idempotency = false },
		[]string{"order.idempotency"}, "system/services/order TestWithoutIdempotencyARepeatIsAnotherOrder"},
	"breaker": {func(c *system.Config) { c.Patterns.Breaker = false },
		[]string{"gateway.breaker"}, "system/services/gateway TestBreakerSwitchedOffAlwaysAsks"},
	"auth": {func(c *system.Config) { c.Patterns.Auth = false },
		[]string{"gateway.bearer"}, "system/services/gateway TestWithoutAGoodTokenNothingIsForwarded"},
	"mtls": {func(c *system.Config) { c.Patterns.MTLS = false },
		[]string{"gateway.identity", "inventory.guard", "notification.guard", "order.guard", "payment.guard"}, "system/pki TestWithoutACertificateNobodyGetsToSpeak"},
	"rate_limit": {func(c *system.Config) { c.Patterns.RateLimit = false },
		[]string{"gateway.rate_limit"}, "system/services/gateway TestRateLimitPerClient"},
	"shedding": {func(c *system.Config) { c.Patterns.Shedding = false },
		[]string{"gateway.pool"}, "system/resilience TestWithoutSheddingAFullPoolRefusesAtOnce"},
	"bulkhead": {func(c *system.Config) { c.Patterns.Bulkhead = false },
		[]string{"gateway.one_pool"}, "system/services/gateway TestADependencyThatHangsTiesUpItsOwnPlacesOnly"},
	"backoff": {func(c *system.Config) { c.Patterns.Backoff = false },
		[]string{"gateway.retry", "inventory.backoff", "notification.backoff", "order.backoff", "payment.backoff"}, "system/bus TestWithoutBackoffAMessageIsDueAtOnce"},
	"retry_budget": {func(c *system.Config) { c.Patterns.RetryBudget = false },
		[]string{"gateway.retry"}, "system/resilience TestBudgetKeepsAnIllDependencyFromBeingAskedMuchMore"},
	"tracing": {func(c *system.Config) { c.Patterns.Tracing = false },
		[]string{"gateway.tracing", "inventory.tracing", "notification.tracing", "order.tracing", "payment.tracing"}, "system/telemetry TestWithoutATracerTracesArePassedOn"},
	"dead_letters": {func(c *system.Config) { c.Patterns.DeadLetters = false },
		[]string{"inventory.dead_letters", "notification.dead_letters", "order.dead_letters", "payment.dead_letters"}, "system TestWithoutDeadLettersThereIsNowhereToLook"},
	"coupling": {func(c *system.Config) { c.Coupling = system.CouplingSync },
		[]string{"inventory.direct", "notification.direct", "order.partners", "payment.direct"}, "system/services TestCalledInLineAnOrderIsAtItsEndWhenItIsAnswered"},
	"consistency": {func(c *system.Config) { c.Consistency = system.Consistency2PC },
		[]string{"inventory.two_phase", "notification.direct", "order.partners", "payment.two_phase"}, "system/services TestInTwoPhasesAnOrderIsEverywhereOrNowhere"},
}

// Each switch tells those something else whom it is about, and nobody else
// anything.
func TestEachSwitchReachesThoseItIsAbout(t *testing.T) {
	before := told(t, system.DefaultConfig())
	for name, s := range everySwitch {
		t.Run(name, func(t *testing.T) {
			cfg := system.DefaultConfig()
			s.flip(&cfg)
			var changed []string
			for key, value := range told(t, cfg) {
				if before[key] != value {
					changed = append(changed, key)
				}
			}
			slices.Sort(changed)
			if diff := cmp.Diff(s.tells, changed); diff != "" {
				t.Errorf("what it tells (-want +got):\n%s", diff)
			}
		})
	}
}

// A pattern that is added is added here too, and what it changes is shown by a
// test that exists.
func TestEverySwitchIsShownToMatter(t *testing.T) {
	patterns := reflect.TypeFor[system.PatternsConfig]()
	for i := range patterns.NumField() {
		name := strings.ToLower(regexp.MustCompile(`([a-z])([A-Z])`).ReplaceAllString(patterns.Field(i).Name, "${1}_$2"))
		if _, ok := everySwitch[name]; !ok {
			t.Errorf("nothing is said of the pattern %s", name)
		}
	}
	for name, s := range everySwitch {
		dir, test, _ := strings.Cut(s.shown, " ")
		files, err := filepath.Glob(filepath.Join("../../..", dir, "*_test.go"))
		if err != nil || len(files) == 0 {
			t.Errorf("%s: no tests in %s: %v", name, dir, err)
		}
		if !slices.ContainsFunc(files, func(file string) bool {
			text, err := os.ReadFile(file)
			return err == nil && strings.Contains(string(text), "func "+test+"(")
		}) {
			t.Errorf("%s: there is no %s in %s", name, test, dir)
		}
	}
}

// told is what the services are told, by service and key, as JSON.
func told(t *testing.T, cfg system.Config) map[string]string {
	t.Helper()
	cfg.Tracing.Endpoint = "http://127.0.0.1:4318"
	all := map[string]string{}
	for _, c := range []system.Component{system.Gateway, system.Order, system.Inventory, system.Payment, system.Notification} {
		text, err := json.Marshal(Of(cfg, system.Replica{Name: c.ReplicaName(0), Component: c, Addr: "127.0.0.1:1", Admin: "127.0.0.1:2"}, Site{
			Brokers: []string{"127.0.0.1:3"}, Cache: "127.0.0.1:4", Orders: []string{"127.0.0.1:5"}, Inventories: []string{"127.0.0.1:6"},
			Payments: []string{"127.0.0.1:7"}, Notifications: []string{"127.0.0.1:8"},
			Database:  func(c system.Component) string { return string(c) + ".db" },
			Collector: cfg.Tracing.Endpoint, Spool: "spans", Keys: "keys",
			Identity: func(replica string) string { return replica + ".pem" },
		}))
		if err != nil {
			t.Fatal(err)
		}
		var keys map[string]json.RawMessage
		if err := json.Unmarshal(text, &keys); err != nil {
			t.Fatal(err)
		}
		for key, value := range keys {
			all[string(c)+"."+key] = string(value)
		}
	}
	return all
}

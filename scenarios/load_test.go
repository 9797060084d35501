package scenarios

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ordbench/ordbench/chaos"
	"github.com/ordbench/ordbench/loadgen"
	"github.com/ordbench/ordbench/reports/gate"
	"github.com/ordbench/ordbench/system"
)

// same compares what is played: not where it came from.
func same(a, b *Scenario) string {
	return cmp.Diff(a, b,
		cmpopts.IgnoreFields(Scenario{}, "Source"),
		cmpopts.IgnoreFields(gate.Gate{}, "Line"),
		cmpopts.EquateEmpty())
}

func parsed(t *testing.T, document string, overrides ...string) *Scenario {
	t.Helper()
	s, err := Parse("test.yaml", []byte(document), overrides...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// everything uses each key and each form of a value at least once.
const everything = `
name: everything
description: |
  Two lines, "quotes": and
  a colon.
seed: 42
system:
  gateway: {replicas: 2, addr: "127.0.0.1:8080", rate_limit: off, timeout: 1500ms, places: 7, tries: 4, breaker: {failures: 3, open_for: 1m}}
  order: {replicas: 2, stuck_after: 30s}
  inventory: {replicas: 3, work: 0s, concurrency: 4, skus: 10, stock: 500}
  payment: {replicas: 4, decline: 2.5%, timeout: 100%, work: 0s, concurrency: 3}
  notification: {replicas: 5, concurrency: 2}
  scaling: {by: none, lag_threshold: 10, partitions: 4, polling_interval: 500ms, stabilization_window: 0s}
  broker: {replicas: 3, volume_size: 64MiB}
  database: {url: "postgres://u@db:5432/postgres", volume_size: 268435457}
  consistency: 2pc
  images: {kafka: k:1, redis: r:2, postgres: p:3, collector: c:4, mirror: here/there}
  tracing: {sample: 25%}
  coupling: sync
  patterns: {outbox: off, inbox: false, idempotency: off, breaker: no, tracing: off, dead_letters: off, auth: off, mtls: off, rate_limit: off, shedding: off, bulkhead: off, backoff: off, retry_budget: off}
traffic:
  customers: 10
  connections: 8
  timeout: 3s
  max_slip: 20ms
  measure: all
  mix: {place_order: 33.3%, read_order: 66.7%}
  retry: {tries: 3, after: 250ms}
  phases:
    - {name: warm-up, rate: 100/min, for: 1m30s, record: false}
    - {name: rise, rate: 0/s..40.5/s, for: 10s, arrivals: poisson}
    - {name: stairs, steps: [10/s, 20/s, 40/s], for: 3s}
    - name: end
      rate: 7/h
      for: 250ms
    - {name: day, sine: {low: 10/s, high: 50/s, period: 4s}, for: 8s, arrivals: poisson}
    - {name: sale, spike: {base: 10/s, peak: 100/s, at: 2s, rise: 500ms, hold: 1s}, for: 5s}
chaos:
  - {at: 10s, fault: kill, target: inventory, replicas: 2}
  - {name: nap, at: rise+1.5s, fault: pause, target: inventory-2, for: 2s}
  - {at: stairs, fault: restart, target: gateway}
gates:
  - {metric: orders.lost, max: 0}
  - {id: slow, max: 1.5s, min: 1ms, metric: latency.read_order.p999, during: rise, min_samples: 10}
  - {id: some, metric: errors.rate, max: 12.5%}
  - {id: fast, metric: goodput, min: 30/min}
  - {id: lag, metric: lag.max, after: kill-inventory, max: 1000}
`

func TestEveryKeyIsRead(t *testing.T) {
	s := parsed(t, everything)
	zero, ms1, ms1500, eighth, half, thousand := 0.0, 1.0, 1500.0, 0.125, 0.5, 1000.0
	want := &Scenario{
		Name: "everything", Description: `Two lines, "quotes": and a colon.`, Seed: 42,
		System: system.Config{
			Gateway: system.GatewayConfig{
				Replicas: 2, Addr: "127.0.0.1:8080", RateLimit: system.RateLimitConfig{Per: time.Minute},
				Breaker: system.BreakerConfig{Failures: 3, OpenFor: time.Minute}, Timeout: 1500 * time.Millisecond, Places: 7, Tries: 4,
			},
			Order:        system.OrderConfig{Replicas: 2, StuckAfter: 30 * time.Second},
			Inventory:    system.InventoryConfig{MinReplicas: 3, MaxReplicas: 3, Concurrency: 4, SKUs: 10, Stock: 500},
			Payment:      system.PaymentConfig{Replicas: 4, Decline: 0.025, Timeout: 1, Seed: 42, Concurrency: 3},
			Notification: system.NotificationConfig{Replicas: 5, Concurrency: 2},
			Scaling: system.ScalingConfig{
				By: system.ScaleByNone, LagThreshold: 10, Partitions: 4, PollingInterval: 500 * time.Millisecond,
			},
			Tracing:  system.TracingConfig{Sample: 0.25},
			Broker:   system.BrokerConfig{Replicas: 3, VolumeSize: 64 << 20},
			Images:   system.ImagesConfig{Kafka: "k:1", Redis: "r:2", PostgreSQL: "p:3", Collector: "c:4", Mirror: "here/there"},
			Database: system.DatabaseConfig{URL: "postgres://u@db:5432/postgres", VolumeSize: 268435457},
			Coupling: system.CouplingSync, Consistency: system.Consistency2PC,
		},
		Traffic: Traffic{
			Customers: 10, Connections: 8, Timeout: 3 * time.Second, MaxSlip: 20 * time.Millisecond, Measure: MeasureAll, Retry: Retry{Tries: 3, After: 250 * time.Millisecond},
			Mix: map[string]float64{"place_order": 33.3 / 100, "read_order": 66.7 / 100},
			Phases: []Phase{
				{Name: "warm-up", Rate: 100.0 / 60, RateTo: 100.0 / 60, For: 90 * time.Second, Arrivals: "constant"},
				{Name: "rise", RateTo: 40.5, For: 10 * time.Second, Arrivals: "poisson", Record: true},
				{Name: "stairs", Steps: []float64{10, 20, 40}, For: 3 * time.Second, Arrivals: "constant", Record: true},
				{Name: "end", Rate: 7.0 / 3600, RateTo: 7.0 / 3600, For: 250 * time.Millisecond, Arrivals: "constant", Record: true},
				{Name: "day", Sine: &loadgen.Sine{Low: 10, High: 50, Period: 4 * time.Second}, For: 8 * time.Second, Arrivals: "poisson", Record: true},
				{Name: "sale", Spike: &loadgen.Spike{Base: 10, Peak: 100, At: 2 * time.Second, Rise: 500 * time.Millisecond, Hold: time.Second}, For: 5 * time.Second, Arrivals: "constant", Record: true},
			},
		},
		Chaos: []Fault{
			{Spec: chaos.Spec{Name: "kill-inventory", Fault: "kill", Target: "inventory", Options: chaos.Options{"replicas": "2"}, Source: "scenario"}, At: At{Offset: 10 * time.Second}},
			{Spec: chaos.Spec{Name: "nap", Fault: "pause", Target: "inventory-2", Options: chaos.Options{"for": "2s"}, Source: "scenario"}, At: At{"rise", 1500 * time.Millisecond}},
			{Spec: chaos.Spec{Name: "restart-gateway", Fault: "restart", Target: "gateway", Source: "scenario"}, At: At{Phase: "stairs"}},
		},
		Gates: []gate.Gate{
			{ID: "orders-lost", Metric: "orders.lost", Max: &zero},
			{ID: "slow", Metric: "latency.read_order.p999", During: "rise", Min: &ms1, Max: &ms1500, MinSamples: 10},
			{ID: "some", Metric: "errors.rate", Max: &eighth},
			{ID: "fast", Metric: "goodput", Min: &half},
			{ID: "lag", Metric: "lag.max", After: "kill-inventory", Max: &thousand},
		},
		Resolved: s.Resolved, SHA256: s.SHA256,
	}
	if diff := same(want, s); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	before, _, _ := strings.Cut(everything, "- {metric: orders.lost")
	if got, want := s.Gates[0].Line, strings.Count(before, "\n")+1; got != want {
		t.Errorf("the first gate is in line %d, want %d", got, want)
	}
	golden(t, "everything.resolved.yaml", s.Resolved)
}

func TestResolvedIsTheSameScenario(t *testing.T) {
	documents := map[string]string{"everything": everything, "sound": sound}
	for _, e := range Library() {
		documents[e.Name] = e.YAML
	}
	for name, document := range documents {
		first := parsed(t, document)
		second := parsed(t, first.Resolved)
		if diff := same(first, second); diff != "" {
			t.Errorf("%s (-first +second):\n%s", name, diff)
		}
	}
}

func TestResolvedHasEveryDefault(t *testing.T) {
	s := parsed(t, "name: bare\ntraffic: {phases: [{name: only, rate: 1/s, for: 1s}]}\n")
	if diff := cmp.Diff(system.DefaultConfig(), s.System); diff != "" {
		t.Errorf("system (-default +got):\n%s", diff)
	}
	golden(t, "bare.resolved.yaml", s.Resolved)
}

func TestOverridesChangeWhatIsPlayed(t *testing.T) {
	s := parsed(t, sound,
		"system.patterns.outbox=off",
		"traffic.phases.steady.rate=500/s..600/s",
		"traffic.phases.0.for=1s",
		"chaos.kill-inventory.at=warm-up",
		"gates.p99.max=1s",
		"traffic.mix={place_order: 100%}",
		"system.gateway.rate_limit=10/s",
		"seed=8", "seed=9",
	)
	switch {
	case s.System.Patterns.Outbox:
		t.Error("outbox is on")
	case s.Traffic.Phases[1].Rate != 500 || s.Traffic.Phases[1].RateTo != 600:
		t.Error("rate of steady:", s.Traffic.Phases[1])
	case s.Traffic.Phases[0].For != time.Second:
		t.Error("length of warm-up:", s.Traffic.Phases[0])
	case s.Chaos[0].At != At{Phase: "warm-up"}:
		t.Error("moment of the fault:", s.Chaos[0].At)
	case *s.Gates[1].Max != 1000:
		t.Error("bound of p99:", *s.Gates[1].Max)
	case len(s.Traffic.Mix) != 1:
		t.Error("mix:", s.Traffic.Mix)
	case s.System.Gateway.RateLimit != system.RateLimitConfig{Requests: 10, Per: time.Second}:
		t.Error("rate limit:", s.System.Gateway.RateLimit)
	case s.Seed != 9:
		t.Error("the last override does not win: seed", s.Seed)
	case s.SHA256 == parsed(t, sound).SHA256:
		t.Error("another experiment has the same sum")
	}
}

func TestFormsOfTextDoNotMatter(t *testing.T) {
	want := parsed(t, sound)
	for name, document := range map[string]string{
		"carriage returns":      strings.ReplaceAll(sound, "\n", "\r\n"),
		"a byte order mark":     "\ufeff" + sound,
		"a document start":      "---\n" + sound,
		"comments":              "# one\n" + strings.ReplaceAll(sound, "\n", " # more\n"),
		"no newline at the end": strings.TrimSuffix(sound, "\n"),
	} {
		if diff := same(want, parsed(t, document)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestLoadReadsFilesAndTheLibrary(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	write := func(name, document string) {
		if err := os.WriteFile(name, []byte(document), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("mine.yaml", sound)
	if err := os.Mkdir("steady", 0o755); err != nil {
		t.Fatal(err)
	}
	for path, source := range map[string]string{
		"mine.yaml":                     "mine.yaml",
		filepath.Join(dir, "mine.yaml"): filepath.Join(dir, "mine.yaml"),
		"spike":                         "library:spike",
		"steady":                        "library:steady", // not the directory of that name
	} {
		s, err := Load(path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
		} else if s.Source != source {
			t.Errorf("%s: source %s, want %s", path, s.Source, source)
		}
	}
	write("spike", sound)
	if s, err := Load("spike"); err != nil || s.Source != "spike" {
		t.Errorf("a file gives way to the library: %v", err)
	}
}

func TestLoadSaysWhatItCouldNotRead(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.Mkdir("folder", 0o755); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ path, want string }{
		{"none.yaml", "read scenario none.yaml: file does not exist; known: broker-outage, coupling-sync, kill-inventory, kill-payment, lost-answers, nemesis, partition, ramp, refunds, slow-link, spike, steady, two-phase-commit"},
		{"spik", `read scenario spik: file does not exist; did you mean "spike"?`},
		{"elsewhere/spike.yaml", `read scenario elsewhere/spike.yaml: file does not exist; the library has "spike"`},
		{"folder", "read scenario folder: is a directory; known: broker-outage, coupling-sync, kill-inventory, kill-payment, lost-answers, nemesis, partition, ramp, refunds, slow-link, spike, steady, two-phase-commit"},
	} {
		_, err := Load(row.path)
		var unread *FileError
		if !errors.As(err, &unread) {
			t.Errorf("%s: %T, want a FileError", row.path, err)
		} else if err.Error() != row.want {
			t.Errorf("%s:\n got %s\nwant %s", row.path, err, row.want)
		}
	}
	if _, err := Load("none.yaml"); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a missing file is not fs.ErrNotExist:", err)
	}
	if err := os.WriteFile("huge.yaml", make([]byte, 10*largestBytes), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Load("huge.yaml"); err == nil || !strings.Contains(err.Error(), "bytes long") {
		t.Error("huge file:", err)
	}
}

func TestDocumentsThatTakeTheParserLongAreRefused(t *testing.T) {
	for name, document := range map[string]string{
		"size":  strings.Repeat("#\n", largestBytes),
		"depth": "name: " + strings.Repeat("[", 10_000),
	} {
		if len(problemsOf(t, name, document)) != 1 {
			t.Errorf("%s: not refused", name)
		}
	}
}

func TestPhaseLaws(t *testing.T) {
	for _, row := range []struct {
		phase Phase
		want  loadgen.Law
		sum   float64
	}{
		{Phase{Rate: 100, RateTo: 100, For: 10 * time.Second}, loadgen.Constant{PerSecond: 100}, 1000},
		{Phase{RateTo: 100, For: 10 * time.Second}, loadgen.Ramp{To: 100, Over: 10 * time.Second}, 500},
		{
			Phase{Steps: []float64{10, 20}, For: 10 * time.Second},
			loadgen.Steps{{PerSecond: 10, For: 5 * time.Second}, {PerSecond: 20, For: 5 * time.Second}}, 150,
		},
		{
			Phase{Rate: 100, RateTo: 100, For: 10 * time.Second, Arrivals: ArrivalsPoisson},
			loadgen.Poisson{Mean: loadgen.Constant{PerSecond: 100}}, 1000,
		},
	} {
		law := row.phase.Law()
		if diff := cmp.Diff(row.want, law); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if got := law.Expected(row.phase.For); math.Abs(got-row.sum) > 1e-9 {
			t.Errorf("%v: %v arrivals, want %v", law, got, row.sum)
		}
	}
}

func TestPlanAndTimelineShareOneClock(t *testing.T) {
	s := parsed(t, everything)
	plan := s.Plan()
	if err := plan.Validate(); err != nil {
		t.Error(err)
	}
	if plan.Length() != s.Length() {
		t.Errorf("plan of %v, scenario of %v", plan.Length(), s.Length())
	}
	var at []time.Duration
	for _, f := range s.Timeline() {
		at = append(at, f.At)
	}
	want := []time.Duration{10 * time.Second, 91500 * time.Millisecond, 100 * time.Second}
	if !slices.Equal(at, want) {
		t.Errorf("faults at %v, want %v", at, want)
	}
}

func TestSummarySaysWhatAScenarioComesTo(t *testing.T) {
	var b strings.Builder
	for _, e := range Library() {
		if err := parsed(t, e.YAML).Summary().Write(&b); err != nil {
			t.Fatal(err)
		}
		b.WriteByte('\n')
	}
	if err := parsed(t, everything).Summary().Write(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "summary.golden", b.String())
}

func TestEveryOptionOfTheCatalogueHasAKey(t *testing.T) {
	keys := faultKeys(&Fault{}).(object).keys()
	for _, d := range chaos.Catalogue() {
		for _, o := range d.Options {
			if !slices.Contains(keys, o.Name) {
				t.Errorf("option %s of %s can't be written in a scenario", o.Name, d.Name)
			}
		}
	}
}

func TestLibraryScenariosAreNamedAsTheirFilesAndDescribed(t *testing.T) {
	for _, e := range Library() {
		s := parsed(t, e.YAML)
		if s.Name != e.Name || e.Description == "" {
			t.Errorf("library:%s has the name %q and the description %q", e.Name, s.Name, e.Description)
		}
		if !strings.HasPrefix(e.YAML, "# ") {
			t.Errorf("library:%s begins without a comment for its readers", e.Name)
		}
		if total := s.Length(); total > time.Minute {
			t.Errorf("library:%s takes %v", e.Name, total)
		}
	}
}

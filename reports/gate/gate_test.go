package gate

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ordbench/ordbench/reports"
)

// result is a run with something of everything: a warm-up, steady traffic, a
// spike with a kill in it.
func result() *reports.Result {
	latency := func(op, phase, clock string, p99 float64) reports.Latency {
		return reports.Latency{
			Op: op, Phase: phase, Clock: clock, Count: 1000,
			P50MS: p99 / 10, P90MS: p99 / 4, P95MS: p99 / 2, P99MS: p99, P999MS: p99 * 2, MaxMS: p99 * 3, MeanMS: p99 / 8,
		}
	}
	return &reports.Result{
		Run:    reports.Run{BootMS: 700, DrainMS: 1500},
		Traces: &reports.Traces{Orders: 10_000, Complete: 9_999, CompleteShare: 0.9999},
		Validity: reports.Validity{
			Outcome: "valid", SlipP50MS: 0.1, SlipP99MS: 1, SlipMaxMS: 9, ScheduledMet: 0.995,
		},
		Phases: []reports.Phase{
			{Name: "warm-up", StartMS: 0, EndMS: 5000, Counts: reports.Counts{Scheduled: 100, OK: 50, Error: 50}},
			{
				Name: "steady", StartMS: 5000, EndMS: 15000, Recorded: true,
				Counts: reports.Counts{Scheduled: 1000, OK: 990, Rejected: 4, Timeout: 6},
				Ops:    map[string]reports.Counts{"place_order": {Scheduled: 800, OK: 792}, "read_order": {Scheduled: 200, OK: 198}},
			},
			{
				Name: "spike", StartMS: 15000, EndMS: 25000, Recorded: true,
				Counts: reports.Counts{Scheduled: 9000, OK: 8000, Rejected: 396, Error: 400, Timeout: 194, Dropped: 7, Unfinished: 3},
				Ops:    map[string]reports.Counts{"place_order": {Scheduled: 9000, OK: 8000}},
			},
		},
		Orders: reports.Orders{
			Attempted: 9800, Accepted: 8792, Rejected: 400, Unknown: 608, Completed: 8700, Compensated: 100,
			Parked: 3, Pending: 2, Lost: 1, Duplicated: 4, Unexpected: 5, Phantom: 6, Recovered: 7,
		},
		Invariants: []reports.Invariant{
			{ID: reports.AcceptedOnce, Outcome: reports.Broken},
			{ID: reports.EffectOnce, Outcome: reports.Broken},
			{ID: reports.StockConserved, Outcome: reports.Held},
		},
		Latency: []reports.Latency{
			latency("place_order", "", "response", 100), latency("place_order", "", "service", 50),
			latency("place_order", "steady", "response", 20), latency("place_order", "spike", "response", 400),
			latency("read_order", "", "response", 10),
		},
		Completion: []reports.Latency{latency("place_order", "", "completion", 250), latency("place_order", "spike", "completion", 900)},
		Breakers: []reports.Breaker{{
			Name: "gateway->order", Trips: 2, Transitions: []reports.Transition{
				{AtMS: 6000, From: "closed", To: "open"}, {AtMS: 9000, From: "open", To: "half-open"}, {AtMS: 16000, From: "closed", To: "open"},
			},
		}},
		Consumers: []reports.Consumer{
			{
				Group: "inventory-group", Component: "inventory", MaxLag: 4000, DrainMS: 2500,
				Replicas: []reports.ReplicaPoint{{AtMS: 0, Ready: 1}, {AtMS: 16000, Ready: 8}, {AtMS: 24000, Ready: 6}},
				Lag:      []reports.LagPoint{{AtMS: 6000, Total: 10}, {AtMS: 20000, Total: 4000}, {AtMS: 27000, Total: 0}},
			},
			{
				Group: "order-group", Component: "order", MaxLag: 30, DrainMS: 100,
				Replicas: []reports.ReplicaPoint{{AtMS: 0, Ready: 2}},
				Lag:      []reports.LagPoint{{AtMS: 6000, Total: 30}, {AtMS: 27000, Total: 0}},
			},
		},
		Faults: []reports.Fault{
			{
				Name: "kill-inventory", Effective: true, DetectMS: 300, RecoverMS: 6000, LagDrainMS: 7000,
				Observed: reports.FaultTimes{StartMS: 18000, EndMS: 20000},
			},
			{
				Name: "pause-broker", Effective: true, DetectMS: -1, RecoverMS: -1, LagDrainMS: -1,
				Observed: reports.FaultTimes{StartMS: 22000, EndMS: 23000},
			},
			{Name: "no-effect", DetectMS: -1, RecoverMS: -1, LagDrainMS: -1},
			{Name: "endless", Effective: true, DetectMS: 10, RecoverMS: -1, LagDrainMS: -1, Observed: reports.FaultTimes{StartMS: 24000, EndMS: -1}},
		},
		Series: reports.Series{TMS: []int64{0, 10000, 28000}},
	}
}

// Every metric, in every scope that it takes.
func TestMetrics(t *testing.T) {
	for _, tt := range []struct {
		metric, during, after string
		want                  float64 // NaN: unknown
		detail                string  // in part
	}{
		{"latency.place_order.p50", "", "", 10, ""},
		{"latency.place_order.p90", "", "", 25, ""},
		{"latency.place_order.p95", "", "", 50, ""},
		{"latency.place_order.p99", "", "", 100, ""},
		{"latency.place_order.p999", "", "", 200, ""},
		{"latency.place_order.max", "", "", 300, ""},
		{"latency.place_order.mean", "", "", 12.5, ""},
		{"latency.place_order.p99", "spike", "", 400, ""},
		{"latency.read_order.p99", "", "", 10, ""},
		{"latency.read_order.p99", "spike", "", math.NaN(), "no read_order was measured in phase spike"},
		{"latency.place_order.p99", "warm-up", "", math.NaN(), "no place_order was measured in phase warm-up"},
		{"service.place_order.p50", "", "", 5, ""},
		{"service.place_order.p90", "", "", 12.5, ""},
		{"service.place_order.p95", "", "", 25, ""},
		{"service.place_order.p99", "", "", 50, ""},
		{"service.place_order.p999", "", "", 100, ""},
		{"service.place_order.max", "", "", 150, ""},
		{"service.place_order.mean", "", "", 6.25, ""},
		{"completion.p50", "", "", 25, ""},
		{"completion.p90", "", "", 62.5, ""},
		{"completion.p95", "", "", 125, ""},
		{"completion.p99", "", "", 250, ""},
		{"completion.p99", "spike", "", 900, ""},
		{"completion.p999", "", "", 500, ""},
		{"completion.max", "", "", 750, ""},
		{"completion.mean", "", "", 31.25, ""},
		{"completion.p99", "steady", "", math.NaN(), "no completion time was measured in phase steady"},
		{"orders.attempted", "", "", 9800, ""},
		{"orders.accepted", "", "", 8792, ""},
		{"orders.rejected", "", "", 400, ""},
		{"orders.unknown", "", "", 608, ""},
		{"orders.completed", "", "", 8700, ""},
		{"orders.compensated", "", "", 100, ""},
		{"orders.parked", "", "", 3, ""},
		{"orders.pending", "", "", 2, ""},
		{"orders.lost", "", "", 1, ""},
		{"orders.duplicated", "", "", 4, ""},
		{"orders.unexpected", "", "", 5, ""},
		{"orders.phantom", "", "", 6, ""},
		{"orders.recovered", "", "", 7, ""},
		{"errors.rate", "", "", 0.061, ""},
		{"errors.rate", "steady", "", 0.006, ""},
		{"errors.rate", "warm-up", "", 0.5, ""},
		{"errors.count", "", "", 610, ""},
		{"rejected.rate", "", "", 0.04, ""},
		{"rejected.count", "steady", "", 4, ""},
		{"timeouts.rate", "", "", 0.02, ""},
		{"timeouts.count", "", "", 200, ""},
		{"dropped.rate", "", "", 0.0007, ""},
		{"dropped.count", "", "", 7, ""},
		{"unfinished.rate", "", "", 0.0003, ""},
		{"unfinished.count", "", "", 3, ""},
		{"errors.rate", "nowhere", "", math.NaN(), "phase nowhere was not played"},
		{"goodput", "", "", 449.5, ""},
		{"goodput", "steady", "", 99, ""},
		{"goodput.of_peak", "spike", "", 1, ""},
		{"goodput.of_peak", "steady", "", 99.0 / 800, ""},
		{"throughput.place_order", "steady", "", 79.2, ""},
		{"throughput.read_order", "spike", "", math.NaN(), "nothing was scheduled"},
		{"offered", "", "", 500, ""},
		{"offered", "spike", "", 900, ""},
		{"lag.max", "", "", 4000, ""},
		{"lag.max", "steady", "", 30, ""},
		{"lag.max", "", "kill-inventory", 4000, ""},
		{"lag.max", "", "no-effect", math.NaN(), "fault no-effect had no proven effect"},
		{"lag.max", "warm-up", "", math.NaN(), "no lag was observed"},
		{"lag.order-group.max", "", "", 30, ""},
		{"lag.drain_time", "", "", 2500, ""},
		{"lag.drain_time", "", "kill-inventory", 7000, ""},
		{"lag.order-group.drain_time", "", "", 100, ""},
		{"replicas.max", "", "", 8, ""},
		{"replicas.max", "steady", "", 2, ""},
		{"replicas.max", "", "kill-inventory", 8, ""},
		{"breakers.trips", "", "", 2, ""},
		{"breakers.trips", "steady", "", 1, ""},
		{"slip.p50", "", "", 0.1, ""},
		{"slip.p99", "", "", 1, ""},
		{"slip.max", "", "", 9, ""},
		{"scheduled.met", "", "", 0.995, ""},
		{"faults.effective", "", "", 0.75, ""},
		{"faults.effective", "", "no-effect", 0, ""},
		{"faults.effective", "", "nowhere", math.NaN(), "fault nowhere was not injected"},
		{"faults.detect_time", "", "kill-inventory", 300, ""},
		{"faults.detect_time", "", "pause-broker", math.NaN(), "the effect of pause-broker was not seen"},
		{"faults.recover_time", "", "kill-inventory", 6000, ""},
		{"faults.recover_time", "", "endless", math.NaN(), "fault endless has no end"},
		{"faults.recover_time", "", "", math.NaN(), "fault no-effect had no proven effect"},
		{"invariants.broken", "", "", 2, ""},
		{"boot.time", "", "", 700, ""},
		{"drain.time", "", "", 1500, ""},
	} {
		t.Run(strings.TrimSpace(strings.Join([]string{tt.metric, tt.during, tt.after}, " ")), func(t *testing.T) {
			want := tt.want
			exact := Gate{ID: "g", Metric: tt.metric, During: tt.during, After: tt.after, Min: &want, Max: &want}
			if math.IsNaN(want) {
				exact.Min, exact.Max = nil, new(1e12)
			}
			got := Judge([]Gate{exact}, result())[0]
			if math.IsNaN(want) {
				if got.Outcome != Unknown || got.Value != nil || !strings.Contains(got.Detail, tt.detail) {
					t.Errorf("%+v", got)
				}
				return
			}
			if got.Value == nil {
				t.Fatalf("no value: %+v", got)
			}
			if math.Abs(*got.Value-want) > 1e-9 {
				t.Errorf("value %v, want %v", *got.Value, want)
			}
		})
	}
}

// Without data no metric has a value, and no gate passes.
func TestMissingDataIsUnknown(t *testing.T) {
	for _, m := range Metrics() {
		for _, name := range expand(m.Name) {
			if name == "boot.time" || name == "drain.time" {
				continue // a run that has a result was booted and drained
			}
			gates := []Gate{{Metric: name, Max: new(1e12)}}
			if m.During {
				gates = append(gates, Gate{Metric: name, During: "steady", Max: new(1e12)})
			}
			if m.After {
				gates = append(gates, Gate{Metric: name, After: "kill-inventory", Max: new(1e12)})
			}
			for _, g := range Judge(gates, &reports.Result{}) {
				if g.Outcome != Unknown || g.Value != nil || g.Detail == "" {
					t.Errorf("%s: %+v", name, g)
				}
			}
		}
	}
}

func TestEveryMetricHasAValueInAFullResult(t *testing.T) {
	r := result()
	for _, m := range Metrics() {
		if m.Summary == "" || m.Unit == "" {
			t.Errorf("%s has no summary or unit", m.Name)
		}
		ok := false
		for _, name := range expand(m.Name) {
			for _, g := range Judge([]Gate{{Metric: name, Max: new(1e12)}, {Metric: name, After: "kill-inventory", Max: new(1e12)}}, r) {
				ok = ok || g.Value != nil
			}
		}
		if !ok {
			t.Errorf("%s can't be read from a full result", m.Name)
		}
	}
}

func TestJudge(t *testing.T) {
	for _, tt := range []struct {
		name   string
		gate   Gate
		change func(*reports.Result)
		want   reports.GateResult
	}{
		{
			name: "a value on its bound passes",
			gate: Gate{Metric: "latency.place_order.p99", Max: new(100.0)},
			want: reports.GateResult{Value: new(100.0), Unit: "ms", Bound: "<= 100ms", Outcome: Pass},
		},
		{
			name: "a value above max fails",
			gate: Gate{Metric: "latency.place_order.p99", Max: new(99.9)},
			want: reports.GateResult{Value: new(100.0), Unit: "ms", Bound: "<= 99.9ms", Outcome: Fail},
		},
		{
			name: "a value below min fails",
			gate: Gate{Metric: "goodput", Min: new(500.0)},
			want: reports.GateResult{Value: new(449.5), Unit: "per_s", Bound: ">= 500/s", Outcome: Fail},
		},
		{
			name: "between two bounds",
			gate: Gate{Metric: "replicas.max", Min: new(2.0), Max: new(20.0)},
			want: reports.GateResult{Value: new(8.0), Unit: "count", Bound: "2 .. 20", Outcome: Pass},
		},
		{
			name: "too few samples are unknown, and neither pass",
			gate: Gate{Metric: "latency.place_order.p99", Max: new(500.0), MinSamples: 1001},
			want: reports.GateResult{Value: new(100.0), Unit: "ms", Bound: "<= 500ms", Outcome: Unknown, Detail: "1000 samples, 1001 asked for"},
		},
		{
			name: "nor fail",
			gate: Gate{Metric: "latency.place_order.p99", Max: new(1.0), MinSamples: 1001},
			want: reports.GateResult{Value: new(100.0), Unit: "ms", Bound: "<= 1ms", Outcome: Unknown, Detail: "1000 samples, 1001 asked for"},
		},
		{
			name: "enough samples",
			gate: Gate{Metric: "latency.place_order.p99", Max: new(1500.0), MinSamples: 1000},
			want: reports.GateResult{Value: new(100.0), Unit: "ms", Bound: "<= 1.5s", Outcome: Pass},
		},
		{
			name: "no loss is not proven while its invariant is in doubt",
			gate: Gate{Metric: "orders.lost", Max: new(1.0)},
			change: func(r *reports.Result) {
				r.Invariants[0] = reports.Invariant{ID: reports.AcceptedOnce, Outcome: reports.Unknown, Detail: "12 orders still PENDING"}
			},
			want: reports.GateResult{Value: new(1.0), Unit: "count", Bound: "<= 1", Outcome: Unknown, Detail: "12 orders still PENDING"},
		},
		{
			name: "a loss is proven in spite of doubt",
			gate: Gate{Metric: "orders.lost", Max: new(0.0)},
			change: func(r *reports.Result) {
				r.Invariants[0] = reports.Invariant{ID: reports.AcceptedOnce, Outcome: reports.Unknown, Detail: "12 orders still PENDING"}
			},
			want: reports.GateResult{Value: new(1.0), Unit: "count", Bound: "<= 0", Outcome: Fail},
		},
		{
			name: "lag that never drained fails once it was watched for longer than the bound",
			gate: Gate{Metric: "lag.drain_time", After: "pause-broker", Max: new(4000.0)},
			want: reports.GateResult{Value: new(5000.0), Unit: "ms", Bound: "<= 4s", Outcome: Fail, Detail: "not over when the run ended, after pause-broker"},
		},
		{
			name: "and is unknown before",
			gate: Gate{Metric: "lag.drain_time", After: "pause-broker", Max: new(6000.0)},
			want: reports.GateResult{Value: new(5000.0), Unit: "ms", Bound: "<= 6s", Outcome: Unknown, Detail: "not over when the run ended, after pause-broker"},
		},
		{
			name:   "a group that never drained",
			gate:   Gate{Metric: "lag.drain_time", Max: new(1000.0)},
			change: func(r *reports.Result) { r.Consumers[0].DrainMS = -1 },
			want:   reports.GateResult{Value: new(2000.0), Unit: "ms", Bound: "<= 1s", Outcome: Fail, Detail: "inventory-group did not drain"},
		},
		{
			name: "a share reads as percent",
			gate: Gate{Metric: "errors.rate", During: "steady", Max: new(0.01)},
			want: reports.GateResult{Value: new(0.006), Unit: "share", Bound: "<= 1%", Outcome: Pass},
		},
		{
			name: "an unknown metric",
			gate: Gate{Metric: "latency.place_order.p98", Max: new(1.0)},
			want: reports.GateResult{Outcome: Unknown, Detail: "no such metric; the nearest is latency.place_order.p90"},
		},
		{
			name: "during on a metric of the whole run",
			gate: Gate{Metric: "orders.lost", During: "steady", Max: new(0.0)},
			want: reports.GateResult{Unit: "count", Bound: "<= 0", Outcome: Unknown, Detail: "orders.lost is not measured by phase"},
		},
		{
			name: "after on a metric of phases",
			gate: Gate{Metric: "errors.rate", After: "kill-inventory", Max: new(0.0)},
			want: reports.GateResult{Unit: "share", Bound: "<= 0%", Outcome: Unknown, Detail: "errors.rate is not measured by fault"},
		},
		{
			name:   "a phase alone is no peak of itself",
			gate:   Gate{Metric: "goodput.of_peak", During: "steady", Min: new(0.9)},
			change: func(r *reports.Result) { r.Phases = r.Phases[:2] },
			want:   reports.GateResult{Unit: "share", Bound: ">= 90%", Outcome: Unknown, Detail: "no other phase was recorded"},
		},
		{
			name: "an overload that keeps an eighth of the peak",
			gate: Gate{Metric: "goodput.of_peak", During: "steady", Min: new(0.9)},
			want: reports.GateResult{Value: new(99.0 / 800), Unit: "share", Bound: ">= 90%", Outcome: Fail},
		},
		{
			name: "no bound",
			gate: Gate{Metric: "goodput"},
			want: reports.GateResult{Unit: "per_s", Outcome: Unknown, Detail: "the gate has neither min nor max"},
		},
		{
			name:   "not a number",
			gate:   Gate{Metric: "slip.p99", Max: new(1.0)},
			change: func(r *reports.Result) { r.Validity.SlipP99MS = math.NaN() },
			want:   reports.GateResult{Unit: "ms", Bound: "<= 1ms", Outcome: Unknown, Detail: "nothing was measured"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := result()
			if tt.change != nil {
				tt.change(r)
			}
			got := Judge([]Gate{tt.gate}, r)[0]
			tt.want.Metric, tt.want.During, tt.want.After = tt.gate.Metric, tt.gate.During, tt.gate.After
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestKnown(t *testing.T) {
	for _, tt := range []struct {
		name, nearest string
		ok            bool
	}{
		{"latency.place_order.p99", "", true},
		{"lag.inventory-group.max", "", true},
		{"orders.lost", "", true},
		{"latency.OP.p99", "latency.read_order.p99", false},
		{"latency.plce_order.p99", "latency.place_order.p99", false},
		{"latency.read_order.p9999", "latency.read_order.p999", false},
		{"orders.lots", "orders.lost", false},
		{"lag.draintime", "lag.drain_time", false},
		{"error.rate", "errors.rate", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, nearest, ok := Known(tt.name)
			if ok != tt.ok || (ok && m.Name != tt.name) {
				t.Fatalf("got %q %q %v", m.Name, nearest, ok)
			}
			if nearest != tt.nearest {
				t.Errorf("nearest %q, want %q", nearest, tt.nearest)
			}
		})
	}
}

func ExampleMetric_Format() {
	for _, name := range []string{"latency.place_order.p99", "errors.rate", "goodput", "orders.lost"} {
		m, _, _ := Known(name)
		fmt.Println(m.Format(0.25), m.Format(1234.5))
	}
	// Output:
	// 0.25ms 1.23s
	// 25% 123450%
	// 0.25/s 1234.5/s
	// 0.25 1234.5
}

package reports

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// distribution is a seeded sample of latencies around a median, in ms.
func distribution(t testing.TB, op, phase, clock string, n int, medianMS float64) Latency {
	t.Helper()
	rnd := rand.New(rand.NewPCG(7, uint64(n)))
	h := hdrhistogram.New(1, time.Minute.Microseconds(), 3)
	for range n {
		if err := h.RecordValue(int64(medianMS*1000*(0.5+rnd.ExpFloat64()/1.4)) + 1); err != nil {
			t.Fatal(err)
		}
	}
	encoded, err := h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		t.Fatal(err)
	}
	at := func(q float64) float64 { return float64(h.ValueAtQuantile(q)) / 1000 }
	return Latency{
		Op: op, Phase: phase, Clock: clock, Count: uint64(n), MeanMS: h.Mean() / 1000,
		P50MS: at(50), P90MS: at(90), P95MS: at(95), P99MS: at(99), P999MS: at(99.9), MaxMS: float64(h.Max()) / 1000,
		Histogram: string(encoded),
	}
}

// passed is a spike that went well.
func passed(t testing.TB) *Result {
	t.Helper()
	r := &Result{
		SchemaVersion: SchemaVersion,
		Run: Run{
			ID: "spike-3fa9c1", StartedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), DurationMS: 58_240, BootMS: 720, DrainMS: 2_450,
			Command: "ordbench run scenarios/spike.yaml --seed 7", Seed: 7, Runtime: "local",
		},
		Verdict:  Verdict{Outcome: Pass, Reason: "11,870 accepted orders reached their end, none lost or doubled, and 3 gates held"},
		Scenario: Scenario{Name: "spike", SHA256: "abc"},
		Validity: Validity{Outcome: "valid", SlipP50MS: 0.06, SlipP99MS: 1.2, SlipMaxMS: 14.25, ScheduledMet: 1},
		Phases: []Phase{
			{Name: "warm-up", StartMS: 0, EndMS: 5_000, OfferedRate: 50, GoodputRate: 50, Counts: Counts{Scheduled: 250, OK: 250}},
			{Name: "steady", StartMS: 5_000, EndMS: 20_000, Recorded: true, OfferedRate: 100, GoodputRate: 99.9, Counts: Counts{Scheduled: 1_500, OK: 1_499, Rejected: 1}, Reasons: map[string]uint64{"429": 1}},
			{
				Name: "spike", StartMS: 20_000, EndMS: 30_000, Recorded: true, OfferedRate: 1000.6, GoodputRate: 981.2,
				Counts: Counts{Scheduled: 10_006, OK: 9_812, Rejected: 120, Error: 40, Timeout: 34}, Reasons: map[string]uint64{"429": 120, "refused": 40, "timeout": 34},
			},
			{Name: "after", StartMS: 30_000, EndMS: 50_000, Recorded: true, OfferedRate: 100, GoodputRate: 100, Counts: Counts{Scheduled: 2_000, OK: 2_000}},
		},
		Orders: Orders{Attempted: 12_011, Accepted: 11_870, Rejected: 107, Unknown: 34, Completed: 11_752, Compensated: 130, Recovered: 12},
		Invariants: []Invariant{
			{ID: AcceptedOnce, Outcome: Held, Detail: "11870 accepted orders have their row and came to their end"},
			{ID: EffectOnce, Outcome: Held, Detail: "17812 stock effects, each of them once"},
			{ID: StockConserved, Outcome: Held, Detail: "1000 SKUs add up and agree with their movements"},
		},
		Latency: []Latency{
			distribution(t, "place_order", "steady", ResponseClock, 1_200, 4), distribution(t, "place_order", "steady", ServiceClock, 1_200, 3.8),
			distribution(t, "place_order", "spike", ResponseClock, 8_005, 22), distribution(t, "read_order", "steady", ResponseClock, 300, 1.5),
			distribution(t, "place_order", "", ResponseClock, 10_870, 15), distribution(t, "read_order", "", ResponseClock, 2_400, 2),
		},
		Completion: []Latency{distribution(t, "place_order", "", CompletionClock, 11_000, 310)},
		Breakers: []Breaker{{Name: "gateway->order", Trips: 1, Transitions: []Transition{
			{AtMS: 23_400, From: "closed", To: "open"}, {AtMS: 25_400, From: "open", To: "half-open"}, {AtMS: 25_450, From: "half-open", To: "closed"},
		}}},
		Consumers: []Consumer{
			{
				Group: "inventory-group", Topic: "orders-topic", Component: "inventory", Partitions: 40, MaxLag: 4_012, DrainMS: 2_450, MaxReplicas: 20,
				Replicas: []ReplicaPoint{{0, 1, 1}, {22_000, 4, 4}, {23_200, 8, 0}, {25_500, 16, 16}, {30_000, 20, 20}, {50_000, 3, 3}},
			},
			{
				Group: "order-group", Topic: "inventory-topic", Component: "order", Partitions: 40, MaxLag: 310, DrainMS: 100, MaxReplicas: 1,
				Replicas: []ReplicaPoint{{0, 1, 1}},
			},
		},
		Faults: []Fault{{
			Name: "kill-inventory", Fault: "kill", Target: "inventory", Source: "scenario", Effective: true, Reverted: true,
			Planned: FaultTimes{23_000, 25_000}, Observed: FaultTimes{23_004, 25_390}, DetectMS: 240, RecoverMS: 6_100, MaxLag: 4_012, LagDrainMS: 6_100,
			Proof: []string{"03:04:28.004 inventory-0: pid 4711 is gone (signal: killed)", "03:04:28.005 inventory-1: pid 4712 is gone (signal: killed)", "03:04:30.390 inventory-0: pid 4801 is ready, 310 ms after its start", "03:04:30.391 inventory-1: pid 4802 is ready, 309 ms after its start"},
		}},
		Series: Series{IntervalMS: 250, TMS: []int64{0, 250, 52_500}},
		Gates: []GateResult{
			{ID: "steady-p99", Metric: "latency.place_order.p99", During: "steady", Value: new(18.21), Unit: UnitMS, Bound: "<= 250ms", Outcome: "pass", Line: 20},
			{ID: "no-loss", Metric: "orders.lost", Value: new(0.0), Unit: UnitCount, Bound: "<= 0", Outcome: "pass", Line: 21},
			{ID: "drains", Metric: "lag.drain_time", After: "kill-inventory", Value: new(6100.0), Unit: UnitMS, Bound: "<= 20s", Outcome: "pass", Line: 22},
		},
		Artifacts: []string{"result.json", "latency.hgrm", "scenario.resolved.yaml", "attempts.csv", "logs/"},
	}
	for at := int64(0); at <= 52_500; at += 250 {
		lag := int64(0)
		switch {
		case at > 23_000 && at < 27_000:
			lag = at - 23_000
		case at >= 27_000 && at < 31_400:
			lag = 31_400 - at
		}
		r.Consumers[0].Lag = append(r.Consumers[0].Lag, LagPoint{AtMS: at, Total: lag})
		r.Consumers[1].Lag = append(r.Consumers[1].Lag, LagPoint{AtMS: at, Total: lag / 13})
	}
	return r
}

// lossy lost orders.
func lossy(t testing.TB) *Result {
	t.Helper()
	r := passed(t)
	r.Verdict = Verdict{Integrity, "of 11870 accepted orders 3 lost, first 01890000-0000-7000-8000-000000000001"}
	r.Orders.Lost, r.Orders.Pending, r.Orders.Completed = 7, 7, 11_745
	r.Invariants[0] = Invariant{ID: AcceptedOnce, Outcome: Broken, Detail: "7 accepted orders still PENDING; the outbox is off"}
	for _, last := range "1234567" {
		r.Invariants[0].Evidence = append(r.Invariants[0].Evidence, "01890000-0000-7000-8000-00000000000"+string(last))
	}
	r.Gates[1].Outcome, r.Gates[1].Value = "fail", new(7.0)
	return r
}

// doubtful is a run that can't say: a fault without effect, lag that never
// drained, a gate without data, and texts that try to move the cursor.
func doubtful(t testing.TB) *Result {
	t.Helper()
	r := passed(t)
	r.Run.Interrupted = true
	r.Verdict = Verdict{Inconclusive, "the run was interrupted; the system did not drain: inventory-group lags by 312 messages; fault kill-inventory had no proven effect: kill inventory-0: operation not permitted"}
	r.Validity = Validity{Outcome: "generator_limited", Reason: "slip p99 of 210ms", SlipP50MS: 3, SlipP99MS: 210, SlipMaxMS: 1900, ScheduledMet: 0.912}
	f := &r.Faults[0]
	f.Effective, f.Reverted, f.Proof, f.Error, f.Observed = false, false, []string{}, "kill inventory-0:\x1b[2J operation\nnot permitted", FaultTimes{-1, -1}
	r.Consumers[0].DrainMS = -1
	r.Invariants[0] = Invariant{ID: AcceptedOnce, Outcome: Unknown, Detail: "312 accepted orders still PENDING", Evidence: []string{"o-1"}}
	r.Gates[2] = GateResult{ID: "drains", Metric: "lag.drain_time", After: "kill-inventory", Unit: UnitMS, Bound: "<= 20s", Outcome: "unknown", Detail: "fault kill-inventory had no proven effect"}
	r.Warnings = []string{"tear down: inventory-3 did not end within 10s and was killed"}
	return r
}

// empty is a run of which nothing is known but that it failed.
func empty() *Result {
	return &Result{SchemaVersion: SchemaVersion, Verdict: Verdict{Fail, "1 gate of 1 failed: g"}, Scenario: Scenario{Name: "nothing"}, Run: Run{Runtime: "local"}}
}

package conductor

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ordbench/ordbench/loadgen"
	"github.com/ordbench/ordbench/reports"
	"github.com/ordbench/ordbench/reports/gate"
	"github.com/ordbench/ordbench/scenarios"
	"github.com/ordbench/ordbench/system"
	"github.com/ordbench/ordbench/system/bus"
)

// disturbed is twenty seconds of 100 attempts a second with a fault from 5 s
// to 8 s: nothing goes well from then to 8.25 s, the lag grows to 500 and is
// gone at 9.25 s, a replica more is ready at 7 s, and the breaker opens at
// 5.5 s, tries in vain at 7.5 s, and closes at 8.7 s.
func disturbed() *measure {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	at := start.Add
	changes := []system.BreakerTransition{
		{At: at(5500 * time.Millisecond), From: "closed", To: "open"},
		{At: at(7500 * time.Millisecond), From: "open", To: "half-open"},
		{At: at(7600 * time.Millisecond), From: "half-open", To: "open"},
		{At: at(8600 * time.Millisecond), From: "open", To: "half-open"},
		{At: at(8700 * time.Millisecond), From: "half-open", To: "closed"},
	}
	const each = 25 // attempts between two looks
	o := newObservation()
	var total loadgen.Counts
	for ms := time.Duration(0); ms <= 20*time.Second; ms += observeEvery {
		if ms > 0 {
			total.Scheduled += each
			if ms > 5*time.Second && ms <= 8250*time.Millisecond {
				total.Error += each
			} else {
				total.OK += each
			}
		}
		lag := int64(0)
		switch {
		case ms > 5*time.Second && ms <= 8*time.Second:
			lag = min(500, (ms-5*time.Second).Milliseconds()/5)
		case ms > 8*time.Second:
			lag = max(0, 500-(ms-8*time.Second).Milliseconds()*2/5)
		}
		ready := 1
		if ms >= 7*time.Second {
			ready = 2
		}
		s := system.Sample{
			LagKnown: true, Ready: map[system.Component]int{system.Inventory: ready},
			Lag: []bus.Lag{{Group: inventoryGroup, Topic: "orders-topic", Partitions: []bus.PartitionLag{{Lag: lag}}}},
		}
		s.Breakers = []system.BreakerSample{{Replica: "gateway-0", Name: "gateway->order"}}
		for _, c := range changes {
			if !c.At.After(at(ms)) {
				s.Breakers[0].Transitions = append(s.Breakers[0].Transitions, c)
			}
		}
		o.add(look{at: ms, stack: s, load: loadgen.Snapshot{Ops: map[loadgen.Op]loadgen.Counts{"place_order": total}}})
	}
	r := &run{observed: o, start: start, report: &loadgen.Report{Phases: []loadgen.PhaseReport{{End: 20 * time.Second}}}}
	r.Scenario = &scenarios.Scenario{}
	return &measure{r}
}

func fault(from, to int64) *reports.Fault {
	return &reports.Fault{
		Target: "inventory", Observed: reports.FaultTimes{StartMS: from, EndMS: to},
		DetectMS: -1, RecoverMS: -1, LagDrainMS: -1, BreakerOpenMS: -1, BreakerHalfOpenMS: -1, BreakerCloseMS: -1, ScaleOutMS: -1,
	}
}

func TestWhatAFaultDidIsReadFromTheSeries(t *testing.T) {
	m := disturbed()
	f := fault(5000, 8000)
	m.impact(f)
	m.damage(f)
	want := fault(5000, 8000)
	want.DetectMS, want.RecoverMS, want.MaxLag, want.LagDrainMS = 250, 1250, 500, 1250
	want.BreakerOpenMS, want.BreakerHalfOpenMS, want.BreakerCloseMS = 500, 2500, 3700
	want.ScaleOutMS, want.UnavailableMS = 2000, 3250
	want.Failed, want.Budget, want.BudgetBurnt = 13*25, 0.01, 16.25 // of 2,000 attempts 20 may fail
	want.During = reports.FaultWindow{FromMS: 5000, ToMS: 9250, OKPerS: 23.529, NotOK: 0.765, MaxLag: 500, Recorded: true}
	want.Before = reports.FaultWindow{FromMS: 0, ToMS: 5000, OKPerS: 100, Recorded: true}
	if diff := cmp.Diff(want, f); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestTheBudgetIsThatOfTheGate(t *testing.T) {
	m, tenth := disturbed(), 0.1
	m.run.Scenario.Gates = []gate.Gate{{Metric: "errors.rate", Max: &tenth}}
	f := fault(5000, 8000)
	m.impact(f)
	m.damage(f)
	if f.Budget != tenth || f.BudgetBurnt != 1.625 {
		t.Errorf("%v of a budget of %v, want 1.625 of 0.1", f.BudgetBurnt, f.Budget)
	}
}

func TestAFaultThatDidNothingHasNothingToShow(t *testing.T) {
	m := disturbed()
	f := fault(15000, 16000)
	m.impact(f)
	m.damage(f)
	if f.DetectMS != -1 || f.MaxLag != 0 || f.UnavailableMS != 0 || f.Failed != 0 || f.BreakerOpenMS != -1 || f.ScaleOutMS != -1 || f.BudgetBurnt != 0 {
		t.Errorf("%+v", f)
	}
	if f.During.OKPerS != 100 || f.Before.OKPerS != 100 {
		t.Errorf("during %+v, before %+v", f.During, f.Before)
	}
}

// One that never ends is measured to the end of the looks.
func TestAFaultThatStandsToTheEndDidNotRecover(t *testing.T) {
	m := disturbed()
	m.run.observed.looks = m.run.observed.looks[:31] // to 7.5 s
	f := fault(5000, -1)
	m.impact(f)
	m.damage(f)
	if f.RecoverMS != -1 || f.LagDrainMS != -1 || f.UnavailableMS != 2500 || f.During.OKPerS != 0 {
		t.Errorf("%+v", f)
	}
}

package conductor

import (
	"testing"
	"time"

	"github.com/ordbench/ordbench/loadgen"
	"github.com/ordbench/ordbench/reports/check"
	"github.com/ordbench/ordbench/system"
	"github.com/ordbench/ordbench/system/bus"
)

func TestLagOfAGroupIsThatOfAllItsTopics(t *testing.T) {
	one := func(group, topic string, n int64) bus.Lag {
		return bus.Lag{Group: group, Topic: topic, Partitions: []bus.PartitionLag{{Lag: n}}}
	}
	s := system.Sample{LagKnown: true, Lag: []bus.Lag{one("a", "x", 1), one("b", "x", 2), one("a", "y", 3)}}
	lag, ok := lagOf(s, "a")
	if !ok || lag.Total() != 4 || lag.Topic != "x, y" || len(lag.Partitions) != 2 {
		t.Errorf("lag of a is %+v, %v", lag, ok)
	}
	if again, _ := lagOf(s, "a"); again.Total() != 4 {
		t.Errorf("read again it is %+v", again)
	}
	if lag, ok := lagOf(s, "c"); ok {
		t.Errorf("lag of nobody is %+v", lag)
	}
	s.LagKnown = false
	if lag, ok := lagOf(s, "a"); ok {
		t.Errorf("lag that nobody knows is %+v", lag)
	}
}

func TestAFaultIsMeasuredByTheGroupItHits(t *testing.T) {
	for target, want := range map[string]string{
		"payment": "payment-group", "payment-0": "payment-group", "notification": "notification-group", "order-1": "order-group",
		"inventory": "inventory-group", "broker": "inventory-group", "gateway-0": "inventory-group",
		"payment|broker": "payment-group", "broker->notification": "notification-group", "payment->broker": "payment-group",
		"gateway->order": "inventory-group", "broker|rest": "inventory-group", "inventory+payment|broker": "inventory-group",
	} {
		if got := groupHit(target); got != want {
			t.Errorf("%s: %s, want %s", target, got, want)
		}
	}
}

func TestOnlyOrdersAtTheirEndAreComplete(t *testing.T) {
	start := time.Now()
	report := &loadgen.Report{Phases: []loadgen.PhaseReport{{Name: "steady", End: time.Minute, Recorded: true}}}
	c := newCompletions(check.NewBook(check.Options{}), start, report)
	for i, status := range []string{"PENDING", "PARKED", "CONFIRMED", "REJECTED", "CANCELLED"} {
		row := system.OrderRow{ID: status, Status: status, CreatedAt: start, UpdatedAt: start.Add(time.Duration(i) * time.Millisecond)}
		if err := c.Order(row); err != nil {
			t.Fatal(err)
		}
	}
	if h := c.phases[0]; h.TotalCount() != 3 || h.Min() != 2000 {
		t.Errorf("%d completions, the shortest %d us; want 3 from 2000 us", h.TotalCount(), h.Min())
	}
}

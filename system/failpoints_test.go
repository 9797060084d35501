package system_test

import (
	"strings"
	"testing"

	"github.com/ordbench/ordbench/system/failpoint"
)

func TestAFailpointKillsItsReplicaAndNoOther(t *testing.T) {
	stack := boot(t, nil)
	ctx := soon(t)
	const point = "order.place.after-commit"
	if err := stack.Arm(ctx, "order-0", "order.nowhere", failpoint.Plan{Action: failpoint.Crash}); err == nil || !strings.Contains(err.Error(), point) {
		t.Errorf("error %v, want one that names those that there are", err)
	}
	if err := stack.Arm(ctx, "order-0", point, failpoint.Plan{Action: failpoint.Crash, Times: 1}); err != nil {
		t.Fatal(err)
	}
	states, err := stack.Failpoints(ctx, "order-0")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range states {
		if (s.Armed != nil) != (s.Name == point) {
			t.Errorf("point %+v, want only %s armed", s, point)
		}
	}
	order(t, stack) // tried until it is accepted, over the crash
	for _, c := range stack.Status(ctx).Components {
		for _, r := range c.Replicas {
			if crashed := r.Name == "order-0"; (r.Restarts > 0) != crashed {
				t.Errorf("%s was started again %d times", r.Name, r.Restarts)
			}
		}
	}
	if states, err = stack.Failpoints(ctx, "order-0"); err != nil {
		t.Fatal(err)
	}
	for _, s := range states {
		if s.Armed != nil {
			t.Errorf("point %+v is armed in a process that was not told so", s)
		}
	}
}

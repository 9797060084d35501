package scenarios

import (
	"strings"
	"testing"
)

func TestScaledScenarioIsTheSameAtAnotherRate(t *testing.T) {
	s := parsed(t, everything)
	double, err := s.Scaled(2)
	if err != nil {
		t.Fatal(err)
	}
	if s.Peak() != 100 || double.Peak() != 200 {
		t.Errorf("peaks %g and %g, want 100 and 200", s.Peak(), double.Peak())
	}
	before, after := s.Summary(), double.Summary()
	if ratio := after.Arrivals / before.Arrivals; ratio < 1.98 || ratio > 2.02 {
		t.Errorf("%g arrivals, then %g", before.Arrivals, after.Arrivals)
	}
	if double.SHA256 == s.SHA256 || s.Traffic.Phases[5].Spike.Peak != 100 {
		t.Error("the scenario itself was changed")
	}
	if diff := same(double, parsed(t, double.Resolved)); diff != "" {
		t.Errorf("the resolved text is another scenario:\n%s", diff)
	}
}

func TestWhatHasNoRateCanNotBeScaled(t *testing.T) {
	s := parsed(t, "name: x\ntraffic:\n  phases:\n    - {name: a, users: 3, for: 1s, arrivals: closed}\n")
	if _, err := s.Scaled(2); err == nil || !strings.Contains(err.Error(), "closed loop") {
		t.Errorf("error %v", err)
	}
	if _, err := parsed(t, sound).Scaled(1e6); err == nil || !strings.Contains(err.Error(), "beyond any machine") {
		t.Errorf("error %v", err)
	}
}

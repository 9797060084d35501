package chaos

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// onRuntime is targets that run somewhere.
type onRuntime struct{ runtime string }

func (r onRuntime) Runtime() string { return r.runtime }

func (onRuntime) Known(string) bool { return true }

func (onRuntime) Down(string) []string { return nil }

func (onRuntime) Away(string) string { return "" }

func (onRuntime) Running(component string) []string { return []string{component + "-0"} }

func TestFaultsAreRefusedWhereTheyDoNotExist(t *testing.T) {
	for _, row := range []struct {
		spec    Spec
		runtime string
		says    string // "": it can be made there
	}{
		{Spec{Fault: "produce-errors", Target: "broker"}, "local", ""},
		{Spec{Fault: "produce-errors", Target: "broker"}, "docker", "real Kafka"},
		{Spec{Fault: "disk-full", Target: "order"}, "local", ""},
		{Spec{Fault: "disk-full", Target: "order"}, "docker", "PostgreSQL"},
		{Spec{Fault: "disk-full", Target: "broker"}, "local", "no volume of its own"},
		{Spec{Fault: "disk-full", Target: "broker-0"}, "docker", ""},
		{Spec{Fault: "disk-full", Target: "database"}, "docker", ""},
		{Spec{Fault: "packet-loss", Target: "order"}, "local", "share the network"},
		{Spec{Fault: "packet-loss", Target: "order"}, "docker", ""},
		{Spec{Fault: "kill", Target: "database"}, "local", "files of the services"},
		{Spec{Fault: "kill", Target: "database-0"}, "local", "files of the services"},
		{Spec{Fault: "kill", Target: "database"}, "docker", ""},
		{Spec{Fault: "latency", Target: "order->database"}, "local", "no link"},
		{Spec{Fault: "latency", Target: "order->database"}, "docker", ""},
		{Spec{Fault: "partition", Target: "order|database"}, "local", "no link"},
		{Spec{Fault: "partition", Target: "order|rest"}, "local", ""},
		{Spec{Fault: "memory-limit", Target: "order"}, "local", "only containers"},
		{Spec{Fault: "memory-limit", Target: "database"}, "docker", ""},
		{Spec{Fault: "memory", Target: "broker"}, "local", ""},
		{Spec{Fault: "memory", Target: "broker"}, "docker", "no levers"},
		{Spec{Fault: "memory", Target: "order"}, "docker", ""},
		{Spec{Fault: "no such fault", Target: "order"}, "docker", ""},
	} {
		p := row.spec.CheckOn(row.runtime)
		if got := p != nil; got != (row.says != "") || got && !strings.Contains(p.Error(), row.says) {
			t.Errorf("%s %s on %s: %v, want %q", row.spec.Fault, row.spec.Target, row.runtime, p, row.says)
		}
		for _, l := range row.spec.LinksOf() {
			if row.spec.Target == "order|rest" && strings.HasSuffix(l, database) {
				t.Errorf("the rest has the database: %s", l)
			}
		}
		if p == nil || row.spec.Fault == "no such fault" {
			continue
		}
		var usage *UsageError
		if _, err := New(onRuntime{row.runtime}, nil, nil).Inject(t.Context(), row.spec); !errors.As(err, &usage) {
			t.Errorf("%s %s is injected on %s: %v", row.spec.Fault, row.spec.Target, row.runtime, err)
		}
	}
}

func TestEveryFaultExistsSomewhere(t *testing.T) {
	for _, d := range Catalogue() {
		if d.NotOn[onLocal] != "" && d.NotOn[onDocker] != "" {
			t.Errorf("%s exists nowhere", d.Name)
		}
	}
}

func TestDrawnFaultsThatDoNotExistAreLeftOut(t *testing.T) {
	for source, skipped := range map[string]bool{"nemesis": true, "scenario": false} {
		e := New(onRuntime{onDocker}, nil, nil)
		e.Play(t.Context(), time.Now(), []Timed{{Spec: Spec{Fault: "fetch-errors", Target: "broker", Source: source}}})
		if r := e.Records()[0]; (r.Skipped != "") != skipped || (r.Error != "") == skipped {
			t.Errorf("of a %s: %+v", source, r)
		}
	}
}

func TestLeaderNeedsSomebodyToTakeOver(t *testing.T) {
	_, err := New(onRuntime{onDocker}, nil, nil).Inject(t.Context(), Spec{Fault: "kill-leader", Target: "broker"})
	if err == nil || !strings.Contains(err.Error(), "needs 2 running replicas of broker: there are 1") {
		t.Errorf("with one broker: %v", err)
	}
}

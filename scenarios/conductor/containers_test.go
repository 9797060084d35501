package conductor

import (
	"os"
	"strings"
	"testing"

	"github.com/ordbench/ordbench/chaos"
	"github.com/ordbench/ordbench/system"
	"github.com/ordbench/ordbench/system/runtime/docker"
)

// openContainers is open on the docker runtime.
func openContainers(t *testing.T, cfg system.Config, links []string) (*Session, *trickle) {
	t.Helper()
	return openOn(t, docker.Runtime{Reaper: []string{os.Args[0], "reap"}}, cfg, links)
}

// containerCases are cases, on containers: without what a real Kafka can't be
// told, and with what only containers have.
func containerCases() []chaos.Spec {
	var all []chaos.Spec
	for _, spec := range cases {
		d, _ := chaos.Find(spec.Fault)
		switch {
		case d.NotOn["docker"] != "", spec.CheckOn("docker") != nil && d.TargetsOn["docker"].Else != "":
			continue
		case spec.Fault == "rebalance-storm": // members of a real group take a moment to come back
			spec.Options = chaos.Options{"for": "4s"}
		}
		all = append(all, spec)
	}
	return append(all,
		chaos.Spec{Fault: "latency", Target: "order->database", Options: chaos.Options{"delay": "20ms", "for": "500ms"}},
		chaos.Spec{Fault: "partition", Target: "payment|database", Options: chaos.Options{"for": "500ms"}},
		chaos.Spec{Fault: "packet-loss", Target: "order", Options: chaos.Options{"share": "20%", "for": "1s"}},
		chaos.Spec{Fault: "packet-loss", Target: "inventory", Options: chaos.Options{"share": "100%", "peer": "broker", "for": "1s"}},
		chaos.Spec{Fault: "packet-delay", Target: "database", Options: chaos.Options{"delay": "20ms", "for": "500ms"}},
		chaos.Spec{Fault: "pause", Target: "database", Options: chaos.Options{"for": "500ms"}},
		chaos.Spec{Fault: "disk-full", Target: "database", Options: chaos.Options{"for": "1s"}},
		chaos.Spec{Fault: "disk-full", Target: "broker", Options: chaos.Options{"for": "1s", "bytes": "0B"}},
		chaos.Spec{Fault: "memory-limit", Target: "notification", Options: chaos.Options{"for": "3s", "bytes": "6MiB"}},
		chaos.Spec{Fault: "memory-limit", Target: "broker", Options: chaos.Options{"for": "3s", "bytes": "250MiB"}},
		chaos.Spec{Fault: "kill", Target: "database"},
		chaos.Spec{Fault: "kill", Target: "cache"},
	)
}

func TestEachFaultShowsItsEffectOnContainersAndIsUndone(t *testing.T) {
	cfg := small()
	cfg.Broker.VolumeSize, cfg.Database.VolumeSize = 128<<20, 512<<20
	s, orders := openContainers(t, cfg, chaos.Links())
	orders.flowing(t)
	showsAndUndoes(t, s, orders, containerCases(), "kill-leader")
	t.Run("after a restart", func(t *testing.T) {
		comeBack(t, s, "order-0", []outliving{
			{spec: chaos.Spec{Fault: "latency", Target: "gateway->order", Options: chaos.Options{"delay": "1ms"}}},
			{chaos.Spec{Fault: "slow-database", Target: "order", Options: chaos.Options{"delay": "1ms"}}, "is set again"},
			{chaos.Spec{Fault: "packet-loss", Target: "order", Options: chaos.Options{"share": "1%"}}, "in place again"},
			{chaos.Spec{Fault: "cpu-limit", Target: "order", Options: chaos.Options{"cores": "0.9"}}, "cores again"},
		})
		orders.flowing(t)
	})
}

// A cluster of three goes on when the broker that leads a topic dies.
func TestKilledLeaderIsTakenOverFrom(t *testing.T) {
	cfg := small()
	cfg.Broker.Replicas = 3
	s, orders := openContainers(t, cfg, nil)
	orders.flowing(t)
	rec, err := s.Inject(t.Context(), chaos.Spec{Fault: "kill-leader", Target: "broker", Options: chaos.Options{"restart_after": "20s"}})
	if err != nil {
		t.Fatal(err)
	}
	rec = await(t, s, rec.Spec.Name, "proven", func(r chaos.Record) bool { return r.Effective || r.Error != "" })
	if rec.Error != "" || !rec.Ended.IsZero() {
		t.Fatalf("%+v", rec)
	}
	orders.flowing(t) // with two brokers of three
	if held := s.Faults.Records()[0]; !held.Ended.IsZero() {
		t.Errorf("it was over before orders flowed: %+v", held)
	}
	if _, err := s.Heal(t.Context()); err != nil {
		t.Error(err)
	}
	orders.flowing(t)
	t.Log(strings.Join(s.Faults.Records()[0].Proof, "\n"))
}

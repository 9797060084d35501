package docker

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/ordbench/ordbench/system"
)

// disturb boots a stack and does to it what outlives a process elsewhere.
func disturb(ctx context.Context, dir string) error {
	cfg := system.DefaultConfig()
	cfg.Dir = dir
	cfg.Links = []string{"gateway->order", "order->broker"}
	cfg.Database.VolumeSize = system.LeastDatabaseVolume
	s, err := system.Boot(ctx, Runtime{}, cfg, nil)
	if err != nil {
		return err
	}
	if _, _, err := s.LosePackets(ctx, "order-0", "all", 0.5, true, true); err != nil {
		return err
	}
	if _, _, err := s.Limit(ctx, "gateway-0", "files", 100); err != nil {
		return err
	}
	if _, _, err := s.LimitCPU(ctx, "inventory-0", 0.5); err != nil {
		return err
	}
	if _, err := s.FillVolume(ctx, "database-0", 0); err != nil {
		return err
	}
	_, _, err = s.Pause(ctx, "broker-0")
	return err
}

func TestKilledInMidFaultLeavesNothing(t *testing.T) {
	e := needDaemon(t)
	before, err := list(t.Context(), e.api, labelStack)
	if err != nil {
		t.Fatal(err)
	}
	parent := exec.Command(os.Args[0], "disturb", t.TempDir())
	said, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(said).ReadString('\n')
	stands, look := list(t.Context(), e.api, labelStack)
	_ = parent.Process.Kill()
	_, _ = io.Copy(io.Discard, said)
	_ = parent.Wait() // "signal: killed"
	if err != nil || strings.TrimSpace(line) != "disturbed" {
		t.Fatalf("it said %q, %v", line, err)
	}
	// Helpers, a keeper, a station and the replicas: the test would see what is left.
	if look != nil || len(stands.containers) < len(before.containers)+12 {
		t.Errorf("there were %d containers, %d before: %v", len(stands.containers), len(before.containers), look)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	began := time.Now()
	for {
		now, err := list(ctx, e.api, labelStack)
		if err != nil {
			t.Fatal(err)
		}
		left := 0
		for id := range now.owners {
			if before.owners[id] == nil && abandoned(now.owners[id]) {
				left++
			}
		}
		if left == 0 {
			t.Logf("gone after %s", time.Since(began).Round(time.Millisecond))
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("left: %v", now.owners)
		}
	}
}

func beDisturber(dir string) int {
	if err := disturb(context.Background(), dir); err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("disturbed")
	select {}
}

package docker

import (
	"context"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestKilledOwnerLeavesNothing kills programs that have a stack, at random
// moments of their boot and their life. ORDBENCH_SOAK_DOCKER_KILLS says how
// often; `make soak-kill-docker` does it 20 times.
func TestKilledOwnerLeavesNothing(t *testing.T) {
	e := needDaemon(t)
	kills := 3
	if text := os.Getenv("ORDBENCH_SOAK_DOCKER_KILLS"); text != "" {
		var err error
		if kills, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	system := program(t, e)
	for n := range kills {
		// A third each: before anything is made, while it boots, when it is up.
		from := []time.Duration{0, time.Second, 6 * time.Second}[n%3]
		long := []time.Duration{time.Second, 5 * time.Second, 8 * time.Second}[n%3]
		after := from + time.Duration(r.Int64N(int64(long)))
		state := aside(t) // where its claim is, by which its containers are told from others
		parent := exec.Command(os.Args[0], "parent", t.TempDir(), system)
		parent.Env = append(os.Environ(), "TMPDIR="+state)
		if err := parent.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(after) // the moment is what is drawn
		_ = parent.Process.Kill()
		_ = parent.Wait() // "signal: killed"
		began, last := time.Now(), time.Now()
		had := ofState(t, e, state)
		// What a request under way has yet to make comes later than a look
		// might: nothing may be there for as long as a reaper waits.
		for limit := time.Now().Add(time.Minute); time.Since(last) < quietFor; time.Sleep(50 * time.Millisecond) {
			left := ofState(t, e, state)
			if len(left) == 0 {
				continue
			}
			last = time.Now()
			if last.After(limit) {
				t.Fatalf("killed after %s: after a minute there is still %v", after, left)
			}
		}
		took := last.Sub(began).Round(10 * time.Millisecond)
		t.Logf("killed after %s with %d things: nothing left after %s", after.Round(time.Millisecond), len(had), took)
		if kills > 3 && took > 10*time.Second {
			t.Errorf("killed after %s: gone only after %s, want 10s", after, took)
		}
	}
}

// aside is a directory that a reaper may still be taking its leave in when the
// test has seen that all is gone; t.TempDir would call that a failure.
func aside(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ordbench-state-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// ofState are the containers, networks and volumes of stacks whose claim lies
// below dir.
func ofState(t *testing.T, e *engine, dir string) (left []string) {
	t.Helper()
	found, err := list(context.Background(), e.api, labelStack)
	if err != nil {
		t.Fatal(err)
	}
	for id, labels := range found.owners {
		if !strings.HasPrefix(labels[labelClaim], dir) {
			continue
		}
		own, err := list(context.Background(), e.api, labelStack+"="+id)
		if err != nil {
			t.Fatal(err)
		}
		left = append(left, own.containers...)
		left = append(left, own.networks...)
		left = append(left, own.volumes...)
	}
	return left
}

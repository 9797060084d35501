package bus_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ordbench/ordbench/system/bus"
	"github.com/ordbench/ordbench/system/runtime/docker"
)

// This binary is also a broker that can be killed, and the reaper of the one
// that runs in a container, "reap STACK".
func TestMain(m *testing.M) {
	if bus.Serve() {
		return
	}
	if len(os.Args) == 3 && os.Args[1] == "reap" {
		if err := docker.Reap(os.Stdin, os.Args[2]); err != nil {
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// TestEveryBrokerKeepsThePromises holds what the system relies on for every
// broker that it runs on: the one in this binary, and Kafka, as the brokers
// that ORDBENCH_TEST_KAFKA names (host:port with commas between) or in a
// container of its own.
func TestEveryBrokerKeepsThePromises(t *testing.T) {
	t.Run("kfake", func(t *testing.T) { bus.Promises(t, bus.MemoryBroker(t)) })
	t.Run("kafka", func(t *testing.T) { bus.Promises(t, kafka(t)) })
}

// kafkaLimit is how long Kafka may take to be there.
const kafkaLimit = 2 * time.Minute

// kafka is a real broker. Without a daemon or an image there is none: the test
// is skipped, aloud, and fails where nothing may be skipped.
func kafka(t *testing.T) []string {
	t.Helper()
	if named := os.Getenv("ORDBENCH_TEST_KAFKA"); named != "" {
		return strings.Split(named, ",")
	}
	ctx, cancel := context.WithTimeout(t.Context(), kafkaLimit)
	defer cancel()
	b, err := docker.Runtime{}.StartBroker(ctx, t.TempDir())
	var daemon *docker.UnavailableError
	var image *docker.ImageError
	switch {
	case err == nil:
		t.Cleanup(func() {
			if err := b.Close(); err != nil {
				t.Error(err)
			}
		})
		return []string{b.Addr}
	case os.Getenv("ORDBENCH_REQUIRE_DOCKER") != "1" && (errors.As(err, &daemon) || errors.As(err, &image)):
		t.Skipf("ORDBENCH_TEST_KAFKA names no broker, and there is none in a container: %v", err)
	}
	t.Fatal(err)
	return nil
}

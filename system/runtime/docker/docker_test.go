package docker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/ordbench/ordbench/system"
)

// This binary is also the reaper that its stacks start, "reap STACK", and a
// program with a stack, "parent DIR", or with one that is disturbed, "disturb
// DIR".
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "reap" {
		if err := Reap(os.Stdin, os.Args[2]); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	if len(os.Args) == 3 && os.Args[1] == "parent" {
		if _, err := boot(context.Background(), os.Args[2]); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("up")
		select {}
	}
	if len(os.Args) == 3 && os.Args[1] == "disturb" {
		os.Exit(beDisturber(os.Args[2]))
	}
	os.Exit(m.Run())
}

func boot(ctx context.Context, dir string) (*system.Stack, error) {
	cfg := system.DefaultConfig()
	cfg.Dir = dir
	return system.Boot(ctx, Runtime{}, cfg, nil)
}

// needDaemon skips a test where there is no daemon, aloud.
func needDaemon(t *testing.T) *engine {
	t.Helper()
	e, err := connect(t.Context())
	if err == nil {
		t.Cleanup(func() { _ = e.Close() })
		return e
	}
	if os.Getenv("ORDBENCH_REQUIRE_DOCKER") == "1" {
		t.Fatal(err)
	}
	t.Skipf("needs Docker: %v", err)
	return nil
}

func TestInfrastructureComesBackWhereItWas(t *testing.T) {
	needDaemon(t)
	s, err := boot(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for name, product := range map[string]string{"broker": "Apache Kafka ", "cache": "Redis ", "database": "PostgreSQL "} {
		if is := s.Infrastructure(ctx)[name]; !strings.HasPrefix(is, product) || strings.Contains(is, unknownVersion) {
			t.Errorf("%s is %q", name, is)
		}
	}
	for _, replica := range []string{"broker-0", "cache-0", "database-0", "order-0", "inventory-0"} {
		if _, detail, err := s.Kill(ctx, replica, 0); err != nil || !strings.Contains(detail, "signal: killed") {
			t.Errorf("kill %s: %q, %v", replica, detail, err)
		}
		if _, _, err := s.AwaitReady(ctx, replica); err != nil {
			t.Error(err)
		}
	}
	if _, detail, err := s.Pause(ctx, "broker-0"); err != nil || !strings.Contains(detail, "paused") {
		t.Errorf("pause: %q, %v", detail, err)
	}
	if _, _, err := s.Resume(ctx, "broker-0"); err != nil {
		t.Error(err)
	}
	// The books are those of before the kills: the services made them then.
	for {
		if d, err := s.Drained(ctx); err == nil && d.Done() {
			break
		}
		if ctx.Err() != nil {
			t.Fatal("the system does not come to rest")
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func TestKilledOwnerLeavesNothing(t *testing.T) {
	e := needDaemon(t)
	before, err := list(t.Context(), e.api, labelStack)
	if err != nil {
		t.Fatal(err)
	}
	for _, after := range []time.Duration{300 * time.Millisecond, 2 * time.Second, 5 * time.Second} {
		t.Run(after.String(), func(t *testing.T) {
			parent := exec.Command(os.Args[0], "parent", t.TempDir())
			if err := parent.Start(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(after) // the moment is the point
			_ = parent.Process.Kill()
			_ = parent.Wait() // "signal: killed"
			// What a request under way has yet to make comes later than this
			// look might: nothing may be there for as long as a reaper waits.
			quiet := time.Now()
			for end := time.Now().Add(time.Minute); time.Since(quiet) < quietFor; time.Sleep(100 * time.Millisecond) {
				now, err := list(t.Context(), e.api, labelStack)
				if err != nil {
					t.Fatal(err)
				}
				for id := range now.owners {
					if before.owners[id] == nil && abandoned(now.owners[id]) {
						quiet = time.Now()
					}
				}
				if time.Now().After(end) {
					t.Fatalf("left: %v", now.owners)
				}
			}
		})
	}
}

func TestImageThatIsNotThereNamesTheWaysOut(t *testing.T) {
	e := needDaemon(t)
	_, err := e.find(t.Context(), Products()[0], "localhost:1/none:1", "", nil)
	var image *ImageError
	if !errors.As(err, &image) {
		t.Fatal(err)
	}
	for _, hint := range []string{"localhost:1/none:1", "--image kafka=IMAGE", "ORDBENCH_KAFKA_IMAGE", "--runtime local"} {
		if !strings.Contains(err.Error(), hint) {
			t.Errorf("%q does not name %s", err, hint)
		}
	}
}

func TestMirrorStandsBeforeNamesWithoutARegistry(t *testing.T) {
	for _, c := range []struct{ mirror, image, want string }{
		{"", "redis:7.4", "redis:7.4"},
		{"mirror.example:5000/hub/", "redis:7.4", "mirror.example:5000/hub/redis:7.4"},
		{"mirror.example", "apache/kafka:4.1.0", "mirror.example/apache/kafka:4.1.0"},
		{"mirror.example", "other.example/kafka:4", "other.example/kafka:4"},
		{"mirror.example", "localhost/kafka:4", "localhost/kafka:4"},
	} {
		if got := mirrored(c.mirror, c.image); got != c.want {
			t.Errorf("%s behind %q is %s, want %s", c.image, c.mirror, got, c.want)
		}
	}
}

func TestFlagOutranksEnvironmentAndScenario(t *testing.T) {
	p := Products()[1]
	t.Setenv(p.Variable, "environment")
	flag, scenario := system.ImagesConfig{}, system.ImagesConfig{Redis: "scenario"}
	if got := p.choice(flag, scenario); got != "environment" {
		t.Errorf("without a flag it is %s", got)
	}
	if err := SetImage(&flag, "redis=flag"); err != nil || p.choice(flag, scenario) != "flag" {
		t.Errorf("with a flag it is %s, %v", p.choice(flag, scenario), err)
	}
	if err := SetImage(&flag, "rabbit=1"); err == nil {
		t.Error("an unknown product was taken")
	}
}

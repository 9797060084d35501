package docker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/moby/moby/client"

	"github.com/ordbench/ordbench/system"
)

// This binary is also the reaper that its stacks start, "reap STACK", and a
// program with a stack, "parent DIR PROGRAM", or with one that is disturbed,
// "disturb DIR".
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "reap" {
		if err := Reap(os.Stdin, os.Args[2]); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	if len(os.Args) == 4 && os.Args[1] == "parent" {
		cfg := system.DefaultConfig()
		cfg.Dir = os.Args[2]
		if _, err := system.Boot(context.Background(), Runtime{Binary: os.Args[3]}, cfg, nil); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		select {}
	}
	if len(os.Args) == 3 && os.Args[1] == "disturb" {
		os.Exit(beDisturber(os.Args[2]))
	}
	os.Exit(m.Run())
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

// program is ordbench for the image of the system, built once.
func program(t *testing.T, e *engine) string {
	t.Helper()
	info, err := e.api.ServerVersion(t.Context(), client.ServerVersionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	path, err := e.binary(t.Context(), "", info.Arch, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	return path
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

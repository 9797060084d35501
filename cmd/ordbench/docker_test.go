package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/client"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/ordbench/ordbench/system"
	"github.com/ordbench/ordbench/system/runtime/docker"
)

// TestScriptsInContainers is TestScripts with containers of real Kafka, Redis
// and PostgreSQL, one script after the other.
func TestScriptsInContainers(t *testing.T) {
	s, err := docker.Runtime{}.Survey(t.Context(), system.ImagesConfig{})
	if err == nil {
		err = s.Unfit()
	}
	if err != nil && os.Getenv("ORDBENCH_REQUIRE_DOCKER") == "1" {
		t.Fatal(err)
	}
	if err != nil {
		t.Skipf("needs Docker: %v", err)
	}
	program := filepath.Join(t.TempDir(), "ordbench")
	build := exec.Command("go", "build", "-trimpath", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+s.Arch)
	if said, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	p := scripts("testdata/docker")
	setup := p.Setup
	p.Setup = func(env *testscript.Env) error {
		env.Setenv(runtimeVariable, runtimeDocker)
		env.Setenv("PROGRAM", program)
		return setup(env)
	}
	p.Cmds["containers"] = containers
	testscript.Run(t, p)
}

// containers succeeds if this script has containers, networks or volumes. It
// waits for 10 s at most until it has none: `! containers`.
func containers(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 0 {
		ts.Fatalf("usage: containers")
	}
	if !neg {
		if n := madeBy(ts); n == 0 {
			ts.Fatalf("it has no containers")
		}
		return
	}
	until(ts, 10*time.Second, func() bool { return madeBy(ts) == 0 }, "containers, networks or volumes are left")
}

// madeBy counts what is labelled with a claim below the directory of the
// script.
func madeBy(ts *testscript.TestScript) (n int) {
	const label = "org.ordbench.claim"
	s, err := docker.Runtime{}.Survey(context.Background(), system.ImagesConfig{})
	ts.Check(err)
	api, err := client.New(client.FromEnv, client.WithHost(s.Host))
	ts.Check(err)
	defer func() { _ = api.Close() }()
	filter := client.Filters{}.Add("label", label)
	count := func(labels map[string]string) {
		if strings.HasPrefix(labels[label], ts.Getenv("WORK")) {
			n++
		}
	}
	all, err := api.ContainerList(context.Background(), client.ContainerListOptions{All: true, Filters: filter})
	ts.Check(err)
	for _, c := range all.Items {
		count(c.Labels)
	}
	networks, err := api.NetworkList(context.Background(), client.NetworkListOptions{Filters: filter})
	ts.Check(err)
	for _, c := range networks.Items {
		count(c.Labels)
	}
	volumes, err := api.VolumeList(context.Background(), client.VolumeListOptions{Filters: filter})
	ts.Check(err)
	for _, c := range volumes.Items {
		count(c.Labels)
	}
	return n
}

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// programs is where this process builds what it runs.
var programs = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "ordbench-test") })

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := programs(); err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// program is the command line as make build makes it, and as users have it. The
// race detector would slow down its many processes tenfold; it watches those of
// the stacks in the tests of system and scenarios/conductor.
func program(t testing.TB) (path string) {
	t.Helper()
	return compiled(t, "ordbench", ".")
}

// compiled is the static program of a package, for this machine or for the one
// in env.
func compiled(t testing.TB, name, pkg string, env ...string) (path string) {
	t.Helper()
	dir, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(dir, name)
	build := exec.Command("go", "build", "-trimpath", "-o", path, pkg)
	build.Env = append(append(os.Environ(), "CGO_ENABLED=0"), env...)
	if said, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	return path
}

package conductor

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestRunsOfTheSameSecondGetDirectoriesOfTheirOwn(t *testing.T) {
	out, now := t.TempDir(), time.Date(2026, 11, 22, 13, 0, 0, 0, time.UTC)
	first, err := newRunDir(out, "spike", now)
	if err != nil {
		t.Fatal(err)
	}
	second, err := newRunDir(out, "spike", now)
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(out, "spike", "20261122T130000Z"); first != want || second != want+"-2" {
		t.Errorf("%s and %s", first, second)
	}
}

func TestOutputThatCannotBeADirectoryIsTheCallersMistake(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var mistake *OutDirError
	if _, err := newRunDir(file, "spike", time.Now()); !errors.As(err, &mistake) || !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("error %v, want an OutDirError: not a directory", err)
	}
}

func TestSweepTakesTheDataOfTheDeadOnly(t *testing.T) {
	out := t.TempDir()
	data := func(run string) string {
		dir := filepath.Join(out, "spike", run, dataDir)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	dead, alive, young := data("dead"), data("alive"), data("young")
	for _, dir := range []string{dead, alive} {
		if err := os.WriteFile(filepath.Join(dir, "lock"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	lock, err := os.Open(filepath.Join(alive, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	sweep(out)
	for dir, want := range map[string]bool{dead: false, alive: true, young: true} {
		if _, err := os.Stat(dir); (err == nil) != want {
			t.Errorf("%s is there: %v, want %v", dir, err == nil, want)
		}
	}
}

package store

import (
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func turnstile(t *testing.T, path string) *Turnstile {
	t.Helper()
	ts, err := OpenTurnstile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ts.Close() })
	return ts
}

// awaitWaiter returns once somebody stands at the door: it holds the turn.
func awaitWaiter(t *testing.T, path string) {
	t.Helper()
	f, err := lockFile(path + ".turn")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		switch err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err {
		case unix.EWOULDBLOCK:
			return
		case nil:
			unix.Flock(int(f.Fd()), unix.LOCK_UN)
			runtime.Gosched()
		default:
			t.Fatal(err)
		}
	}
	t.Fatal("nobody came to the door")
}

func TestHolderThatComesStraightBackQueuesBehind(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	greedy, patient := turnstile(t, path), turnstile(t, path)
	for range 200 {
		if err := greedy.Lock(); err != nil {
			t.Fatal(err)
		}
		order := make(chan string, 2)
		var all sync.WaitGroup
		all.Go(func() {
			patient.Lock()
			order <- "patient"
			patient.Unlock()
		})
		awaitWaiter(t, path)
		greedy.Unlock()
		greedy.Lock()
		order <- "greedy"
		greedy.Unlock()
		all.Wait()
		if first := <-order; first != "patient" {
			t.Fatalf("%s went first", first)
		}
	}
}

func TestLockDiesWithItsHolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	holder, next := turnstile(t, path), turnstile(t, path)
	if err := holder.Lock(); err != nil {
		t.Fatal(err)
	}
	got := make(chan error, 1)
	go func() { got <- next.Lock() }()
	awaitWaiter(t, path)
	holder.Close() // what the kernel does to a process that dies
	if err := <-got; err != nil {
		t.Fatal(err)
	}
}

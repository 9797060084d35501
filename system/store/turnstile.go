package store

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Turnstile is a lock between processes that is fair and that dies with its
// holder. It is made of two file locks: whoever wants in first takes the turn,
// then the lock itself, then gives the turn back. So the next in line already
// stands at the door when the holder leaves, and a holder that comes straight
// back queues behind it, where a single lock would let it in again before the
// next one has even woken up. The kernel queues those who wait and frees both
// locks when a process dies, however it dies.
//
// SQLite's own way, to poll until the file is free, is neither fair nor quick.
type Turnstile struct {
	mu         sync.Mutex // file locks do not stop goroutines that share them
	turn, lock *os.File
}

// OpenTurnstile opens the lock files beside path. They are never deleted: a
// lock on a deleted file would keep nobody out.
func OpenTurnstile(path string) (*Turnstile, error) {
	turn, err := lockFile(path + ".turn")
	if err != nil {
		return nil, err
	}
	lock, err := lockFile(path + ".lock")
	if err != nil {
		return nil, errors.Join(err, turn.Close())
	}
	return &Turnstile{turn: turn, lock: lock}, nil
}

func lockFile(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
}

// Lock blocks until this process alone holds the lock.
func (t *Turnstile) Lock() error {
	t.mu.Lock()
	err := flock(t.turn, unix.LOCK_EX)
	if err == nil {
		err = errors.Join(flock(t.lock, unix.LOCK_EX), flock(t.turn, unix.LOCK_UN))
	}
	if err != nil {
		t.mu.Unlock()
	}
	return err
}

// Unlock lets the next process in.
func (t *Turnstile) Unlock() error {
	defer t.mu.Unlock()
	return flock(t.lock, unix.LOCK_UN)
}

// Close gives up the lock, if held, and the files.
func (t *Turnstile) Close() error {
	return errors.Join(t.turn.Close(), t.lock.Close())
}

// flock is flock(2) on f, tried again when a signal interrupts the wait.
func flock(f *os.File, how int) error {
	for {
		err := unix.Flock(int(f.Fd()), how)
		if err == nil {
			return nil
		}
		if err != unix.EINTR {
			return fmt.Errorf("lock %s: %w", f.Name(), err)
		}
	}
}

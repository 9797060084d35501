package wire

import (
	"errors"
	"net/netip"
	"time"
)

// kernel is what a loop asks of the operating system. Only wait and nap block. It is
// used by one goroutine, but for wake.
type kernel interface {
	// now is the time from the start of the plan.
	now() time.Duration
	// wait fills events with the connections on which something happened,
	// at most after timeout; 0 only looks. wake ends it early, and a signal may.
	wait(events []event, timeout time.Duration) (int, error)
	wake()
	// nap waits without being woken by what happens, but a signal may end it
	// early. It returns false at once where read can't say when bytes came:
	// there answers must be read as they come.
	nap(d time.Duration) bool
	// open begins to connect. What happens on the connection is told to wait
	// under its token: once for each change, so one reads until there is no
	// more.
	open(to netip.AddrPort, token int32) (fd int, err error)
	// connected is the error with which the connecting ended.
	connected(fd int) error
	// read and write do what can be done at once, or return errAgain. Read
	// says when the last of the bytes came in. An error of write says that
	// none of p was written.
	read(fd int, p []byte) (n int, at time.Duration, err error)
	write(fd int, p []byte) (int, error)
	shut(fd int)
	close()
}

// errAgain says that it would take waiting.
var errAgain = errors.New("not now")

// event is something that happened on a connection.
type event struct {
	token int32
	what  happening
}

// happening is a set of what happened.
type happening uint8

const (
	readable happening = 1 << iota
	writable
	gone // the other side has closed, or reset
)

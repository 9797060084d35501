package wire

import (
	"time"

	"golang.org/x/sys/unix"
)

// nap sleeps on the thread, by the kernel's own high-resolution timer. It may
// end early, when a signal comes.
func nap(d time.Duration) {
	// Threads come with 50 us of slack, and the runtime chooses the thread.
	// Neither call can do worse than to nap too long, which the pacer sees.
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	ts := unix.NsecToTimespec(int64(d))
	_ = unix.Nanosleep(&ts, nil)
}

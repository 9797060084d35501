//go:build !linux

package vitals

import "time"

// threads is nothing where the system tells nothing: there slip, and looks
// that come late, have to suffice.
type threads struct{}

func newThreads() threads { return threads{} }

func (threads) read() (delay, busy time.Duration) { return 0, 0 }

func processTime() time.Duration { return 0 }

//go:build !linux

package wire

import "time"

// nap sleeps as precisely as the runtime can.
func nap(d time.Duration) { time.Sleep(d) }

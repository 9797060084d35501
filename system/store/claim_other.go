//go:build unix && !linux

package store

import "golang.org/x/sys/unix"

// setLock locks for the process.
const (
	setLock = unix.F_SETLK
	getLock = unix.F_GETLK
)

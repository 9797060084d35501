package store

import "golang.org/x/sys/unix"

// setLock locks for the open file, so that two of one process exclude each
// other like those of two.
const (
	setLock = unix.F_OFD_SETLK
	getLock = unix.F_OFD_GETLK
)

//go:build linux

package main

import (
	"encoding/binary"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// clock reads the time from a start, and knows when that was on the clock
// that all processes of a machine share.
type clock struct {
	start time.Time
	mono  int64 // CLOCK_MONOTONIC at start, nanoseconds
}

func newClock() clock {
	c := clock{}
	best := int64(1 << 62)
	for range 100 { // the closest pair of readings is within a fraction of a microsecond
		before := monotonic()
		start := time.Now()
		after := monotonic()
		if after-before < best {
			best = after - before
			c = clock{start, before + (after-before)/2}
		}
	}
	return c
}

func (c clock) now() time.Duration { return time.Since(c.start) }

func (c clock) absolute(at time.Duration) int64 { return c.mono + int64(at) }

func monotonic() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic(err) // every Linux has it
	}
	return ts.Nano()
}

// pwait is epoll_pwait2, which counts in nanoseconds.
func pwait(epoll int, events []unix.EpollEvent, timeout time.Duration) (int, error) {
	ts := unix.NsecToTimespec(int64(timeout))
	call := unix.Syscall6
	if timeout == 0 {
		call = unix.RawSyscall6
	}
	n, _, errno := call(unix.SYS_EPOLL_PWAIT2, uintptr(epoll), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), uintptr(unsafe.Pointer(&ts)), 0, 0)
	if errno == unix.EINTR {
		return 0, nil
	}
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// recv, stampedRecv and send never block.
func recv(fd int32, p []byte) (int, error) {
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// stampedRecv is recv, and when the kernel got the last of the bytes, on
// CLOCK_MONOTONIC, of a socket with SO_TIMESTAMPNS.
func stampedRecv(fd int32, p []byte) (int, int64, error) {
	var control [64]byte
	n, used, _, _, err := unix.Recvmsg(int(fd), p, control[:], unix.MSG_DONTWAIT)
	if err != nil || n == 0 {
		return n, 0, err
	}
	messages, err := unix.ParseSocketControlMessage(control[:used])
	if err != nil {
		return n, 0, err
	}
	for _, m := range messages {
		if m.Header.Type == unix.SO_TIMESTAMPNS_NEW && len(m.Data) >= 16 {
			at := int64(binary.NativeEndian.Uint64(m.Data))*1e9 + int64(binary.NativeEndian.Uint64(m.Data[8:]))
			return n, monotonic() - (time.Now().UnixNano() - at), nil
		}
	}
	return n, monotonic(), nil // the first few come without
}

func send(fd int32, p []byte) (int, error) {
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

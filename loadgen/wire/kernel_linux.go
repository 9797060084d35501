package wire

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ordbench/ordbench/loadgen"
)

// epoll is the kernel of Linux, with a poller of its own: that of the runtime
// rounds waits up to a millisecond and hands each event to a goroutine.
//
// All calls are raw, waits too. Told of each, Go's scheduler takes the thread
// for one that has been in the kernel for ever, and looks every 20 us whether to
// take its turn away: half as much work again as the load itself. So waits are
// short, and a collection that wants all threads to stop ends them by a signal.
type epoll struct {
	start  time.Time
	fd     int
	waker  int // an eventfd
	raw    [64]unix.EpollEvent
	coarse bool // epoll_pwait2 is missing, as before Linux 5.11

	stamps  bool          // the kernel said when the latest bytes came in; it takes a while to begin
	wall    time.Duration // what its stamps are ahead of now
	message unix.Msghdr
	vector  unix.Iovec
	control [64]byte
}

// openKernel prepares the calling thread, which should be locked.
func openKernel(start time.Time) (kernel, error) {
	// A thread comes with 50 us of slack. Without this waits end later, which
	// the margin of the loop absorbs.
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	// The name is how others find the thread, to see how it fares. It can't fail.
	name := [16]byte{}
	copy(name[:], loadgen.ThreadName)
	_ = unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(&name[0])), 0, 0, 0)
	k := &epoll{start: start, fd: -1, waker: -1}
	k.message.Iov, k.message.Iovlen, k.message.Control = &k.vector, 1, &k.control[0]
	var err error
	if k.fd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if k.waker, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		k.close()
		return nil, os.NewSyscallError("eventfd", err)
	}
	if err := k.watch(k.waker, wakeToken, unix.EPOLLIN|unix.EPOLLET); err != nil {
		k.close()
		return nil, err
	}
	return k, nil
}

const wakeToken = -1

// GoFirst gives the calling goroutine a thread of its own, which ends with it,
// and puts that before all that are scheduled fairly. Niceness would not do: it
// counts only among those of one session or container. Where that takes a
// privilege that this process does not have, the thread stays with the others.
func GoFirst() {
	runtime.LockOSThread()
	_ = unix.SchedSetAttr(0, &unix.SchedAttr{
		Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: 2, Flags: unix.SCHED_FLAG_RESET_ON_FORK,
	}, 0)
}

// AllGoFirst puts the other threads of this process between those that go first
// and all others, until undo: a collection of garbage stops every thread, for
// as long as the last of them waits for a processor. No process may be started
// meanwhile, which would go first for ever.
func AllGoFirst() (undo func()) {
	fair := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL}
	soon := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: 1}
	reschedule(fair, soon)
	return func() { reschedule(soon, fair) }
}

// reschedule turns all threads that are scheduled in one way to another. What
// they start meanwhile is found the second time.
func reschedule(from, to unix.SchedAttr) {
	for range 2 {
		threads, _ := os.ReadDir("/proc/self/task")
		for _, t := range threads {
			id, _ := strconv.Atoi(t.Name())
			is, err := unix.SchedGetAttr(id, 0)
			if err != nil || is.Policy != from.Policy || is.Priority != from.Priority {
				continue // it has ended, or goes its own way
			}
			if niceness, err := unix.Getpriority(unix.PRIO_PROCESS, id); err == nil {
				to.Nice = int32(20 - niceness) // the kernel's own count goes from 40 to 1
			}
			_ = unix.SchedSetAttr(id, &to, 0)
		}
	}
}

func (k *epoll) close() {
	for _, fd := range []int{k.waker, k.fd} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

func (k *epoll) now() time.Duration { return time.Since(k.start) }

func (k *epoll) wake() {
	one := [8]byte{1}
	_, _ = unix.Write(k.waker, one[:]) // it fails only if a wake is pending
}

func (k *epoll) watch(fd int, token int32, what uint32) error {
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(k.fd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: what, Fd: token}))
}

func (k *epoll) wait(events []event, timeout time.Duration) (int, error) {
	n, errno := k.poll(min(len(events), len(k.raw)), timeout)
	if errno != 0 {
		if errno == unix.EINTR {
			return 0, nil
		}
		return 0, os.NewSyscallError("epoll_wait", errno)
	}
	told := 0
	for _, e := range k.raw[:n] {
		if e.Fd == wakeToken {
			continue
		}
		var what happening
		if e.Events&unix.EPOLLIN != 0 {
			what |= readable
		}
		if e.Events&unix.EPOLLOUT != 0 {
			what |= writable
		}
		if e.Events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
			what |= gone
		}
		events[told] = event{e.Fd, what}
		told++
	}
	if told > 0 {
		// Stamps are of the wall clock, which is adjusted as it goes.
		now := time.Now()
		k.wall = time.Duration(now.UnixNano()) - now.Sub(k.start)
	}
	return told, nil
}

func (k *epoll) nap(d time.Duration) bool {
	if k.stamps {
		ts := unix.NsecToTimespec(int64(d))
		_, _, _ = unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&ts)), 0, 0) // a signal may end it early, which the loop sees
	}
	return k.stamps
}

// poll fills raw, by the nanosecond.
func (k *epoll) poll(most int, timeout time.Duration) (int, unix.Errno) {
	events := unsafe.Pointer(&k.raw[0])
	if timeout > 0 && !k.coarse {
		ts := unix.NsecToTimespec(int64(timeout))
		n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT2, uintptr(k.fd), uintptr(events), uintptr(most), uintptr(unsafe.Pointer(&ts)), 0, 0)
		if errno != unix.ENOSYS {
			return int(n), errno
		}
		k.coarse = true
	}
	if timeout > 0 {
		// epoll_wait counts in milliseconds, so it only looks, behind a wait
		// for the poller itself.
		ts := unix.NsecToTimespec(int64(timeout))
		poller := unix.PollFd{Fd: int32(k.fd), Events: unix.POLLIN}
		_, _, errno := unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&poller)), 1, uintptr(unsafe.Pointer(&ts)), 0, 0, 0)
		if errno != 0 {
			return 0, errno
		}
	}
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(k.fd), uintptr(events), uintptr(most), 0, 0, 0)
	return int(n), errno
}

func (k *epoll) open(to netip.AddrPort, token int32) (int, error) {
	var (
		sa     unix.Sockaddr
		domain = unix.AF_INET6
	)
	ip := to.Addr().Unmap()
	if ip.Is4() {
		domain, sa = unix.AF_INET, &unix.SockaddrInet4{Port: int(to.Port()), Addr: ip.As4()}
	} else {
		sa = &unix.SockaddrInet6{Port: int(to.Port()), Addr: ip.As16(), ZoneId: zone(ip.Zone())}
	}
	fd, err := unix.Socket(domain, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, dialError(to, "socket", err)
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS_NEW, 1) // read sees if it helps
	if err = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		err = dialError(to, "setsockopt", err)
	} else if err = unix.Connect(fd, sa); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		err = dialError(to, "connect", err)
	} else {
		err = k.watch(fd, token, unix.EPOLLIN|unix.EPOLLOUT|unix.EPOLLRDHUP|unix.EPOLLET&math.MaxUint32)
	}
	if err != nil {
		k.shut(fd)
		return -1, err
	}
	return fd, nil
}

// zone is the number of a network interface.
func zone(name string) uint32 {
	if name == "" {
		return 0
	}
	i, err := net.InterfaceByName(name)
	if err != nil {
		return 0 // connecting will say what is wrong
	}
	return uint32(i.Index)
}

// dialError says what package net would say.
func dialError(to netip.AddrPort, call string, err error) error {
	return &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(to), Err: os.NewSyscallError(call, err)}
}

func (k *epoll) connected(fd int) error {
	code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && code != 0 {
		err = unix.Errno(code)
	}
	to, _ := unix.Getpeername(fd) // not known where connecting failed
	if err == nil {
		// A port of this machine where nobody listens may meet itself.
		if from, _ := unix.Getsockname(fd); addrPort(from) == addrPort(to) {
			err = unix.ECONNREFUSED
		}
	}
	if err != nil {
		return &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", err)}
	}
	return nil
}

func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port))
	}
	return netip.AddrPort{}
}

// read asks the kernel when the bytes came in, not the clock when they were
// found: a loop that sleeps or is busy does not make answers slower.
func (k *epoll) read(fd int, p []byte) (int, time.Duration, error) {
	k.vector.Base = &p[0]
	k.vector.SetLen(len(p))
	k.message.SetControllen(len(k.control))
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(&k.message)), unix.MSG_DONTWAIT, 0, 0, 0)
	switch {
	case errno == unix.EAGAIN || errno == unix.EINTR:
		return 0, 0, errAgain
	case errno != 0:
		return 0, 0, &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("recvmsg", errno)}
	case n == 0:
		return 0, 0, io.EOF
	}
	return int(n), k.stamped(), nil
}

// stamped is when the bytes of message came in.
func (k *epoll) stamped() time.Duration {
	now := k.now()
	head := (*unix.Cmsghdr)(unsafe.Pointer(&k.control[0]))
	k.stamps = k.message.Controllen >= uint64(unix.CmsgSpace(16)) && head.Level == unix.SOL_SOCKET && head.Type == unix.SO_TIMESTAMPNS_NEW
	if !k.stamps {
		return now
	}
	data := k.control[unix.CmsgLen(0):]
	at := time.Duration(binary.NativeEndian.Uint64(data))*time.Second + time.Duration(binary.NativeEndian.Uint64(data[8:])) - k.wall
	if at > now || at < now-time.Second {
		return now // the wall clock was set
	}
	return at
}

func (k *epoll) write(fd int, p []byte) (int, error) {
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	switch {
	case errno == unix.EAGAIN:
		return 0, errAgain
	case errno != 0:
		return 0, &net.OpError{Op: "write", Net: "tcp", Err: os.NewSyscallError("sendto", errno)}
	}
	return int(n), nil
}

func (k *epoll) shut(fd int) { _ = unix.Close(fd) }

package docker

import (
	"fmt"
	"net"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// handle is a hand on the first process of a container, past the daemon: a
// daemon that starts ten containers kills an eleventh seconds later, and says
// so later still. It needs the daemon's processes to be this machine's, and
// the right to signal them.
type handle struct{ file *os.File }

// openHandle takes hold of a process; nil where this machine does not show
// it, or shows another under its number.
func openHandle(pid int, container string) *handle {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return nil
	}
	h := &handle{os.NewFile(uintptr(fd), "pidfd")}
	// With the handle open the number can't change its owner unseen.
	groups, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil || !strings.Contains(string(groups), container) || h.signal("") != nil {
		h.close()
		return nil
	}
	return h
}

// signal sends a signal by its name, "KILL"; "" only sees that it could.
func (h *handle) signal(name string) (err error) {
	number := unix.Signal(0)
	if name != "" {
		if number = unix.SignalNum("SIG" + name); number == 0 {
			return fmt.Errorf("there is no signal %s", name)
		}
	}
	conn, err := h.file.SyscallConn()
	if err != nil {
		return err
	}
	if said := conn.Control(func(fd uintptr) { err = unix.PidfdSendSignal(int(fd), number, nil, 0) }); said != nil {
		return said
	}
	return err
}

// await returns nil when the process has ended, and an error when the handle
// is closed before.
func (h *handle) await() error {
	conn, err := h.file.SyscallConn()
	if err != nil {
		return err
	}
	return conn.Read(func(fd uintptr) bool {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(poll, 0)
		return err == nil && n > 0
	})
}

func (h *handle) close() { _ = h.file.Close() } // nothing was written

// sameNetwork tells whether who listens on a socket is known to have the
// network of this process.
func sameNetwork(socket string) bool {
	c, err := net.Dial("unix", socket)
	if err != nil {
		return false
	}
	defer c.Close()
	raw, err := c.(*net.UnixConn).SyscallConn()
	if err != nil {
		return false
	}
	var peer *unix.Ucred
	if raw.Control(func(fd uintptr) { peer, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }) != nil || err != nil || peer.Pid == 0 {
		return false // of other processes than ours the number is not told
	}
	own, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return false
	}
	theirs, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", peer.Pid))
	return err == nil && theirs == own
}

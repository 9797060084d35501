package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// bound ties a child to this process: the kernel kills it when this process
// is gone. It has a process group of its own, so that a Ctrl-C on the
// terminal reaches ordbench alone, which then ends its children in order.
func bound() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// How far the children stand back for this process, which must send on time
// and look often enough on the same cores, and how far those that no client
// waits for stand back for the others. Among themselves they are equal.
const (
	niceness     = 3
	lastNiceness = 10
)

// yield lowers the priority of the calling thread, and so of all that it
// forks: on Linux niceness belongs to a thread and is inherited. That it can't
// be lowered is no reason not to run.
func yield(to int) { _ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), to) }

// stoppedInTable tells whether every thread of c stands still. The threads
// stop one after the other: the first alone proves nothing.
func stoppedInTable(c *child) (stopped bool, state string, err error) {
	dir := fmt.Sprintf("/proc/%d/task", c.PID())
	tasks, err := os.ReadDir(dir)
	if err != nil {
		return false, "", err
	}
	seen := 0
	for _, task := range tasks {
		stat, err := os.ReadFile(filepath.Join(dir, task.Name(), "stat"))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // the thread has ended
		}
		if err != nil {
			return false, "", err
		}
		// pid (name) state ...; the name may hold anything but is closed
		// by the last parenthesis.
		_, rest, _ := strings.Cut(string(stat[max(0, strings.LastIndexByte(string(stat), ')')):]), " ")
		state, _, _ = strings.Cut(rest, " ")
		if state == "Z" || state == "X" {
			return false, "", fmt.Errorf("pid %d is in state %s: %w", c.PID(), state, os.ErrProcessDone)
		}
		if state != "T" {
			return false, state, nil
		}
		seen++
	}
	return seen > 0, state, nil
}

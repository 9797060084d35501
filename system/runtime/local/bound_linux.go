package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// bound ties a child to this process: the kernel kills it when this process
// is gone. It has a process group of its own, so that a Ctrl-C on the
// terminal reaches ordbench alone, which then ends its children in order.
func bound() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

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

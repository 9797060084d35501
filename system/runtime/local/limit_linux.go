package local

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// limits are the resources that can be limited, by their names.
var limits = map[string]int{"files": unix.RLIMIT_NOFILE, "file-bytes": unix.RLIMIT_FSIZE}

// Limit lowers a soft limit of the process. The hard one stays, so that the
// soft one can be given back without a privilege.
func (c *child) Limit(limit string, spare int64) (detail string, fresh bool, err error) {
	resource, known := limits[limit]
	if !known {
		return "", false, fmt.Errorf("unknown limit %q", limit)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, has := c.limited[limit]; has {
		return "", false, nil
	}
	var old unix.Rlimit
	if err := unix.Prlimit(c.PID(), resource, nil, &old); err != nil {
		return "", false, fmt.Errorf("prlimit pid %d: %w", c.PID(), err)
	}
	soft, open := uint64(spare), 0
	if limit == "files" {
		if open, err = openFiles(c.PID()); err != nil {
			return "", false, err
		}
		soft += uint64(open)
	}
	next := unix.Rlimit{Cur: min(soft, old.Max), Max: old.Max}
	if err := unix.Prlimit(c.PID(), resource, &next, nil); err != nil {
		return "", false, fmt.Errorf("prlimit pid %d: %w", c.PID(), err)
	}
	var now unix.Rlimit
	if err := unix.Prlimit(c.PID(), resource, nil, &now); err != nil || now.Cur != next.Cur {
		return "", false, fmt.Errorf("prlimit pid %d: the limit is %d, not %d: %w", c.PID(), now.Cur, next.Cur, err)
	}
	if c.limited == nil {
		c.limited = map[string]uint64{}
	}
	c.limited[limit] = old.Cur
	if limit == "files" {
		return fmt.Sprintf("pid %d has %d files open and may have %d", c.PID(), open, now.Cur), true, nil
	}
	return fmt.Sprintf("pid %d can't write beyond byte %d of any file", c.PID(), now.Cur), true, nil
}

// Unlimit gives the limit back as it was.
func (c *child) Unlimit(limit string) (detail string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	soft, has := c.limited[limit]
	if !has {
		return "it was not limited", nil
	}
	var now unix.Rlimit
	if err := unix.Prlimit(c.PID(), limits[limit], nil, &now); err != nil {
		return "", fmt.Errorf("prlimit pid %d: %w", c.PID(), err)
	}
	now.Cur = soft
	if err := unix.Prlimit(c.PID(), limits[limit], &now, nil); err != nil {
		return "", fmt.Errorf("prlimit pid %d: %w", c.PID(), err)
	}
	delete(c.limited, limit)
	return fmt.Sprintf("pid %d has its limit back", c.PID()), nil
}

// openFiles counts the descriptors of a process.
func openFiles(pid int) (int, error) {
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return len(fds), err
}

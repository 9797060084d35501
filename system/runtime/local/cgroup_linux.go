package local

import (
	"bufio"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// cgroupPeriod is what quotas are counted in, in microseconds.
const cgroupPeriod = 100_000

// cpuGroup is the directory below which this process makes a group for each
// replica that is held to a share of the processors. It is named after the
// process, so that whoever finds it later knows whether it is still wanted.
func cpuGroup() (dir string, v1 bool) {
	name := fmt.Sprintf("ordbench-%d", os.Getpid())
	if _, err := os.Stat("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"); err == nil {
		return filepath.Join("/sys/fs/cgroup/cpu", name), true
	}
	return filepath.Join("/sys/fs/cgroup", name), false
}

// LimitCPU moves the process into a group with a quota.
func (c *child) LimitCPU(cores float64) (throttled int64, fresh bool, err error) {
	parent, v1 := cpuGroup()
	if err := c.fleet.guard(parent); err != nil {
		return 0, false, err
	}
	dir := filepath.Join(parent, c.replica)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return 0, false, err
	}
	if !v1 {
		if err := write(filepath.Join(parent, "cgroup.subtree_control"), "+cpu"); err != nil {
			return 0, false, err
		}
	}
	quota := strconv.Itoa(max(1000, int(math.Round(cores*cgroupPeriod))))
	if v1 {
		err = write(filepath.Join(dir, "cpu.cfs_period_us"), strconv.Itoa(cgroupPeriod))
		if err == nil {
			err = write(filepath.Join(dir, "cpu.cfs_quota_us"), quota)
		}
	} else {
		err = write(filepath.Join(dir, "cpu.max"), fmt.Sprintf("%s %d", quota, cgroupPeriod))
	}
	if err != nil {
		return 0, false, err
	}
	pid := strconv.Itoa(c.PID())
	procs := filepath.Join(dir, "cgroup.procs")
	inside, err := os.ReadFile(procs)
	if err != nil {
		return 0, false, err
	}
	if !slices.Contains(strings.Fields(string(inside)), pid) {
		fresh = true
		if err := write(procs, pid); err != nil {
			return 0, false, err
		}
	}
	throttled, err = stat(filepath.Join(dir, "cpu.stat"), "nr_throttled")
	return throttled, fresh, err
}

// FreeCPU moves the process back to where this one is.
func (c *child) FreeCPU() error {
	parent, _ := cpuGroup()
	dir := filepath.Join(parent, c.replica)
	if _, err := os.Stat(dir); err != nil {
		return nil //nolint:nilerr // it has no group, or is not in it any more
	}
	if err := write(filepath.Join(home(filepath.Dir(parent)), "cgroup.procs"), strconv.Itoa(c.PID())); err != nil {
		return err
	}
	return os.Remove(dir)
}

// home is the group of this process below a mount.
func home(mount string) string {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return mount
	}
	for line := range strings.Lines(string(text)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) == 3 && (parts[1] == "" && mount == "/sys/fs/cgroup" || slices.Contains(strings.Split(parts[1], ","), "cpu") && mount != "/sys/fs/cgroup") {
			return filepath.Join(mount, parts[2])
		}
	}
	return mount
}

func write(path, text string) error { return os.WriteFile(path, []byte(text), 0o644) }

// stat reads one number of a file of names and numbers.
func stat(path, name string) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if value, ok := strings.CutPrefix(s.Text(), name+" "); ok {
			return strconv.ParseInt(value, 10, 64)
		}
	}
	return 0, fmt.Errorf("%s has no %s", path, name)
}

// Sweep removes the groups of runs that are gone, and names them.
func Sweep() (removed []string) {
	own, _ := cpuGroup()
	left, _ := filepath.Glob(filepath.Join(filepath.Dir(own), "ordbench-*"))
	for _, dir := range left {
		pid, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(dir), "ordbench-"))
		if err == nil && syscall.Kill(pid, 0) == syscall.ESRCH {
			removeGroup(dir)
			removed = append(removed, dir)
		}
	}
	return removed
}

// removeGroup removes a group and those in it, as far as nobody is in them.
func removeGroup(dir string) {
	inner, _ := filepath.Glob(filepath.Join(dir, "*", "cgroup.procs"))
	for _, procs := range inner {
		os.Remove(filepath.Dir(procs))
	}
	os.Remove(dir)
}

package docker

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/ordbench/ordbench/system"
)

// meter reads what a container uses from its control group: exact, and
// without a question to the daemon, which answers such questions once a
// second.
type meter struct {
	cpu    func() (time.Duration, error)
	memory string // file
}

// newMeter finds the control group of a process; nil if this machine does not
// show it.
func newMeter(pid int) *meter {
	groups, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return nil
	}
	const root = "/sys/fs/cgroup"
	m := &meter{}
	for line := range strings.Lines(string(groups)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 || len(fields[2]) < 2 {
			continue // the root group: of the whole machine
		}
		for controller := range strings.SplitSeq(fields[1], ",") {
			switch controller {
			case "cpuacct":
				path := filepath.Join(root, "cpuacct", fields[2], "cpuacct.usage")
				m.cpu = func() (time.Duration, error) { n, err := number(path); return time.Duration(n), err }
			case "memory":
				m.memory = filepath.Join(root, "memory", fields[2], "memory.stat")
			case "": // version 2: one group for all
				if m.cpu == nil {
					path := filepath.Join(root, fields[2], "cpu.stat")
					m.cpu = func() (time.Duration, error) {
						n, err := entry(path, "usage_usec")
						return time.Duration(n) * time.Microsecond, err
					}
					m.memory = filepath.Join(root, fields[2], "memory.stat")
				}
			}
		}
	}
	if m.cpu == nil || m.memory == "" {
		return nil
	}
	return m
}

func (m *meter) read() (system.Usage, error) {
	if m == nil {
		return system.Usage{}, errNoUsage
	}
	cpu, err := m.cpu()
	if err != nil {
		return system.Usage{}, err
	}
	rss, err := entry(m.memory, "total_rss", "anon")
	return system.Usage{CPU: cpu, RSSBytes: rss}, err
}

func number(path string) (int64, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
}

// entry is the number behind the first of the names that a file has.
func entry(path string, names ...string) (int64, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		for _, name := range names {
			if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
				return strconv.ParseInt(value, 10, 64)
			}
		}
	}
	return 0, fmt.Errorf("%s has no %s", path, strings.Join(names, " or "))
}

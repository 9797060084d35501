package chaos

import (
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// lacking says why this machine does not have what a fault needs, "" if it
// does.
func lacking(what string) string {
	switch what {
	case needCPUCgroup:
		for _, dir := range []string{"/sys/fs/cgroup/cpu", "/sys/fs/cgroup"} {
			if unix.Access(dir+"/cgroup.procs", unix.W_OK) == nil && controls(dir) {
				return ""
			}
		}
		return "no cgroup v1 or v2 with the cpu controller can be written to: run as root"
	case needPrlimit:
		var now unix.Rlimit
		if err := unix.Prlimit(os.Getpid(), unix.RLIMIT_NOFILE, nil, &now); err != nil {
			return "prlimit: " + err.Error()
		}
	case needNetem:
		return lackingNetem()
	}
	return ""
}

// controls says whether groups below dir have a quota of processor time.
func controls(dir string) bool {
	if unix.Access(dir+"/cpu.cfs_quota_us", unix.F_OK) == nil {
		return true
	}
	text, err := os.ReadFile(dir + "/cgroup.subtree_control")
	if err != nil {
		return false
	}
	return slices.Contains(strings.Fields(string(text)), "cpu")
}

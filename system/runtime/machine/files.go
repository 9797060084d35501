package machine

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Files is how many files and connections a process may have open. The
// runtime of the language raises the limit by itself as far as it may.
func Files(need uint64) Finding {
	f := Finding{Need: "open files", State: OK}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return Finding{Need: f.Need, State: Limited, Detail: err.Error()}
	}
	most := uint64(limit.Max) //nolint:unconvert // another type elsewhere
	f.Detail = fmt.Sprintf("%d a process", most)
	if most > 1<<40 {
		f.Detail = "no limit"
	}
	if most < need {
		f.State, f.Remedy = Limited, fmt.Sprintf("raise the hard limit to %d: ulimit -Hn %d, as root", need, need)
	}
	return f
}

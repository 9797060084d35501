package docker

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// niceness is what this process takes while its stack runs, where it may: it
// holds the load, which must be on time however busy the daemon is with
// starting containers. Containers are no children of it.
const niceness = -10

// goFirst puts every thread of this process before others, and returns what
// undoes it. Without the right to, it does nothing.
func goFirst() (undo func()) {
	before, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		return func() {}
	}
	setNice(niceness)
	return func() { setNice(20 - before) } // the system call tells it as 20 less
}

func setNice(nice int) {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return
	}
	for _, t := range threads { // those that they start take after them
		if id, err := strconv.Atoi(t.Name()); err == nil {
			_ = unix.Setpriority(unix.PRIO_PROCESS, id, nice) // without the right it stays as it is
		}
	}
}

package docker

import (
	"os"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

func TestTheLoadGoesFirstWhileAStackRuns(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: others can't put themselves first")
	}
	nice := func() map[int]bool {
		found := map[int]bool{}
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			t.Fatal(err)
		}
		for _, thread := range threads {
			id, err := strconv.Atoi(thread.Name())
			if err != nil {
				t.Fatal(err)
			}
			if n, err := unix.Getpriority(unix.PRIO_PROCESS, id); err == nil { // it may have ended
				found[20-n] = true
			}
		}
		return found
	}
	before := nice()
	undo := goFirst()
	if got := nice(); len(got) != 1 || !got[niceness] {
		t.Errorf("niceness of the threads %v, want %d", got, niceness)
	}
	undo()
	if got := nice(); len(got) != len(before) {
		t.Errorf("niceness of the threads %v, before it was %v", got, before)
	}
}

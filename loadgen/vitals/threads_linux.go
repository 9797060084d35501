package vitals

import (
	"bytes"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ordbench/ordbench/loadgen"
)

// tasks has a directory for each thread of this process.
const tasks = "/proc/self/task/"

// threads follows what the scheduler says of each thread.
type threads map[string]*thread

// thread is what is known of one.
type thread struct {
	engine    bool // it is one of an engine that has its own
	seen      bool
	ran, lost time.Duration // running; ready to run, and not running
}

func newThreads() threads { return threads{} }

// read gives the time that the unluckiest thread of the engine waited for a
// processor since the last read, and that the busiest ran. Where the engine
// has no thread of its own, any may be carrying its work.
func (ts threads) read() (delay, busy time.Duration) {
	names, err := readDir(tasks)
	if err != nil {
		return 0, 0
	}
	var anyDelay, anyBusy time.Duration
	engine := false
	for _, t := range ts {
		t.seen = false
	}
	for _, name := range names {
		t := ts[name]
		fresh := t == nil
		if fresh {
			t = &thread{}
		}
		if !t.engine && (fresh || len(ts) < 64) {
			// An engine names its thread when it begins.
			comm, err := os.ReadFile(tasks + name + "/comm")
			t.engine = err == nil && string(bytes.TrimSpace(comm)) == loadgen.ThreadName
		}
		text, err := os.ReadFile(tasks + name + "/schedstat")
		if err != nil {
			continue // it has ended
		}
		ran, lost, ok := parseSchedstat(text)
		if !ok {
			continue
		}
		if !fresh {
			anyDelay, anyBusy = max(anyDelay, lost-t.lost), max(anyBusy, ran-t.ran)
			if t.engine {
				engine = true
				delay, busy = max(delay, lost-t.lost), max(busy, ran-t.ran)
			}
		}
		t.ran, t.lost, t.seen = ran, lost, true
		ts[name] = t
	}
	for name, t := range ts {
		if !t.seen {
			delete(ts, name)
		}
	}
	if !engine {
		return anyDelay, anyBusy
	}
	return delay, busy
}

func readDir(path string) ([]string, error) {
	d, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Readdirnames(-1)
}

// parseSchedstat reads the time on a processor, the time waiting for one, and
// the number of slices, which is of no use here.
func parseSchedstat(text []byte) (ran, lost time.Duration, ok bool) {
	fields := bytes.Fields(text)
	if len(fields) != 3 {
		return 0, 0, false
	}
	a, errA := strconv.ParseInt(string(fields[0]), 10, 64)
	b, errB := strconv.ParseInt(string(fields[1]), 10, 64)
	return time.Duration(a), time.Duration(b), errA == nil && errB == nil && a >= 0 && b >= 0
}

// processTime is the processor time of this process.
func processTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

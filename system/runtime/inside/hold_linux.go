package inside

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// limits are the resources that can be limited, by their names.
var limits = map[string]int{"files": unix.RLIMIT_NOFILE}

// limited is one limit of one process.
type limited struct {
	pid   int
	limit string
}

// hold is what this process has done and has to undo.
type hold struct {
	dropping bool
	before   int64 // packets that earlier rules have dropped
	delaying bool
	limited  map[limited]uint64 // soft limits as they were
	others   func() ([]int, error)
	volume   string // where it is
	filling  bool
}

func (h *hold) obey(o Order) (a Answer, err error) {
	switch {
	case o.Drop != nil:
		if err = h.count(&a); err == nil {
			h.before = a.Dropped
			if err = dropPackets(*o.Drop); err == nil {
				h.dropping = true
			}
		}
	case o.Count:
		err = h.count(&a)
	case o.Delay != nil:
		if err = delayPackets(*o.Delay); err == nil {
			h.delaying = true
		}
	case o.Pass:
		err = errors.Join(h.count(&a), h.pass())
	case o.Undelay:
		err = h.undelay()
	case o.Limit != nil:
		a.Detail, err = h.limit(*o.Limit)
	case o.Fill != nil:
		a.Filled, a.Detail, err = h.fill(o.Fill.Spare)
	case o.Clear:
		a.Detail, err = h.clear()
	default:
		a.Detail, err = h.unlimit(o.Unlimit)
	}
	return a, err
}

// count adds up what the rules have dropped.
func (h *hold) count(a *Answer) error {
	a.Dropped = h.before
	if !h.dropping {
		return nil
	}
	n, err := droppedPackets()
	a.Dropped += n
	return err
}

// pass ends the drops and forgets how many there were.
func (h *hold) pass() error {
	if !h.dropping {
		return nil
	}
	err := passPackets()
	if err == nil {
		h.dropping, h.before = false, 0
	}
	return err
}

func (h *hold) undelay() error {
	if !h.delaying {
		return nil
	}
	err := undelayPackets()
	h.delaying = err != nil
	return err
}

// undo undoes everything.
func (h *hold) undo() error {
	errs := []error{h.pass(), h.undelay()}
	if h.filling {
		_, err := h.clear()
		errs = append(errs, err)
	}
	for name := range limits {
		_, err := h.unlimit(name)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// limit lowers the soft limit of every process but this one, of those that
// came since as well. The hard one stays, so that the soft one can be given
// back.
func (h *hold) limit(l Limit) (string, error) {
	pids, err := h.others()
	if err != nil {
		return "", err
	}
	for _, pid := range pids {
		key := limited{pid, l.Name}
		if _, has := h.limited[key]; has {
			continue
		}
		var old unix.Rlimit
		if err := unix.Prlimit(pid, limits[l.Name], nil, &old); errors.Is(err, unix.ESRCH) {
			continue
		} else if err != nil {
			return "", fmt.Errorf("prlimit pid %d: %w", pid, err)
		}
		open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		if errors.Is(err, os.ErrNotExist) {
			continue
		} else if err != nil {
			return "", err
		}
		next := unix.Rlimit{Cur: min(uint64(len(open))+uint64(l.Spare), old.Max), Max: old.Max}
		if err := unix.Prlimit(pid, limits[l.Name], &next, nil); err != nil {
			return "", fmt.Errorf("prlimit pid %d: %w", pid, err)
		}
		h.limited[key] = old.Cur
	}
	n := 0
	for key := range h.limited {
		if key.limit == l.Name {
			n++
		}
	}
	if n == 0 {
		return "", errors.New("there is no process to limit")
	}
	return fmt.Sprintf("%d processes may open %d more files than they had", n, l.Spare), nil
}

// unlimit gives the processes that are left their limit back.
func (h *hold) unlimit(name string) (string, error) {
	n := 0
	for key, soft := range h.limited {
		if key.limit != name {
			continue
		}
		var now unix.Rlimit
		err := unix.Prlimit(key.pid, limits[name], nil, &now)
		if err == nil {
			now.Cur = min(soft, now.Max)
			err = unix.Prlimit(key.pid, limits[name], &now, nil)
		}
		if err != nil && !errors.Is(err, unix.ESRCH) {
			return "", fmt.Errorf("prlimit pid %d: %w", key.pid, err)
		}
		delete(h.limited, key)
		n++
	}
	return fmt.Sprintf("%d processes have their limit back", n), nil
}

// others are the processes of this namespace that are of this one's user,
// without itself. A helper that does something else here for a moment is of
// another user and not the target's, and may not be limited.
func others() ([]int, error) {
	found, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, entry := range found {
		if pid, err := strconv.Atoi(entry.Name()); err == nil && pid != os.Getpid() && ours(entry) {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids, nil
}

func ours(process os.DirEntry) bool {
	info, err := process.Info()
	if err != nil {
		return false // it has ended
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Getuid()
}

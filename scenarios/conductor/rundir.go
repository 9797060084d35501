package conductor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// minFreeBytes is what a run must find free for its data and its result. A
// disk that fills up in mid-run would be blamed on the system under test.
const minFreeBytes = 64 << 20

// OutDirError says that the output directory can't be used. The mistake is
// the caller's.
type OutDirError struct {
	Dir string
	Err error
}

func (e *OutDirError) Error() string {
	return fmt.Sprintf("output directory %s: %v; choose another with --out", e.Dir, e.Err)
}

func (e *OutDirError) Unwrap() error { return e.Err }

// newRunDir makes <out>/<scenario>/<UTC time>, a directory of this run alone.
func newRunDir(out, scenario string, now time.Time) (string, error) {
	parent := filepath.Join(out, scenario)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return "", &OutDirError{Dir: out, Err: unwrapPath(err)}
	}
	if free, err := freeBytes(parent); err == nil && free < minFreeBytes {
		return "", &OutDirError{Dir: out, Err: fmt.Errorf("%d MB free, a run needs %d MB", free>>20, minFreeBytes>>20)}
	}
	stamp := now.UTC().Format("20060102T150405Z")
	for n := 1; ; n++ {
		dir := filepath.Join(parent, stamp)
		if n > 1 {
			dir = fmt.Sprintf("%s-%d", dir, n)
		}
		err := os.Mkdir(dir, 0o755)
		if errors.Is(err, fs.ErrExist) {
			continue // another run began in the same second
		}
		if err != nil {
			return "", &OutDirError{Dir: out, Err: unwrapPath(err)}
		}
		return dir, nil
	}
}

// unwrapPath drops the path of err, which the message names already.
func unwrapPath(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

func freeBytes(dir string) (uint64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return st.Bavail * uint64(st.Bsize), nil
}

// sweep removes the data of runs under out that were killed before they
// could. A stack holds the lock in its data directory for as long as it
// lives.
func sweep(out string) {
	locks, _ := filepath.Glob(filepath.Join(out, "*", "*", dataDir, "lock"))
	for _, lock := range locks {
		f, err := os.Open(lock)
		if err != nil {
			continue
		}
		if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			os.RemoveAll(filepath.Dir(lock))
		}
		f.Close()
	}
}

package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// leasePoll is how long a lease may lie free before someone who waits for it
// has it. Polling lets a wait end with its context, which a blocking file
// lock would not.
const leasePoll = 20 * time.Millisecond

// Lease blocks until the caller alone, among all who have this database open
// in whatever process, holds the lease of that name, or until ctx ends. The
// kernel frees the lease when the process dies, so there is no term to renew.
func (db *DB) Lease(ctx context.Context, name string) (release func(), err error) {
	if name == "" || strings.ContainsAny(name, `/\`) {
		return nil, fmt.Errorf("lease %q: not a name", name)
	}
	f, err := lockFile(db.path + "." + name + ".lease")
	if err != nil {
		return nil, fmt.Errorf("lease %s: %w", name, err)
	}
	tick := time.NewTicker(leasePoll)
	defer tick.Stop()
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch err {
		case nil:
			return func() { f.Close() }, nil
		case unix.EWOULDBLOCK, unix.EINTR:
		default:
			f.Close()
			return nil, fmt.Errorf("lease %s: %w", name, err)
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, fmt.Errorf("lease %s: %w", name, context.Cause(ctx))
		case <-tick.C:
		}
	}
}

package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Lease blocks until the caller alone, among all who have this database open
// in whatever process, holds the lease of that name, or until ctx ends. It is
// free again when the process dies, so there is no term to renew.
//
// held ends with ctx, with release, and when the lease is lost, which it is
// when the server that keeps it dies or the connection to it does. Somebody
// else may hold it from then on, a moment before this holder learns of it, so
// what is done under a lease must do no harm when two do it for that moment.
func (db *DB) Lease(ctx context.Context, name string) (held context.Context, release func(), err error) {
	if name == "" || strings.ContainsAny(name, `/\`) {
		return nil, nil, fmt.Errorf("lease %q: not a name", name)
	}
	held, release, err = db.leases.lease(ctx, name)
	if err != nil {
		return nil, nil, fmt.Errorf("lease %s: %w", name, err)
	}
	return held, release, nil
}

// fileLeases are locks on files beside the database. The kernel frees them
// when the process dies; until then nothing takes them away.
type fileLeases struct{ path string }

func (fileLeases) close() error { return nil }

// leasePoll is how long a lease may lie free before someone who waits for it
// has it. Polling lets a wait end with its context, which a blocking file
// lock would not.
const leasePoll = 20 * time.Millisecond

func (l fileLeases) lease(ctx context.Context, name string) (context.Context, func(), error) {
	f, err := lockFile(l.path + "." + name + ".lease")
	if err != nil {
		return nil, nil, err
	}
	tick := time.NewTicker(leasePoll)
	defer tick.Stop()
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch err {
		case nil:
			held, cancel := context.WithCancel(ctx)
			return held, func() { cancel(); f.Close() }, nil
		case unix.EWOULDBLOCK, unix.EINTR:
		default:
			f.Close()
			return nil, nil, err
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, nil, context.Cause(ctx)
		case <-tick.C:
		}
	}
}

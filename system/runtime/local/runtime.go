// Package local runs a stack as child processes of this program: give a
// Runtime to system.Boot. Each replica is `serve COMPONENT --config FILE
// --lease-fd 3` of the same binary, on loopback addresses that the stack
// keeps reserved for its whole life.
//
// The invariant: no child outlives this process, however it ends. The kernel
// kills the children when the process dies, also those that stand still
// (Linux); and each child holds a lease, a pipe that ends with the process.
package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ordbench/ordbench/system"
	"github.com/ordbench/ordbench/system/endpoint"
)

// Runtime starts replicas as processes.
type Runtime struct {
	// Command is the program and the arguments that come before the
	// component; nil is this binary's own "serve".
	Command []string
}

// Name is "local".
func (Runtime) Name() string { return "local" }

// Boot reserves every address, writes every replica's configuration and locks
// cfg.Dir, so that no second stack uses the same data.
func (r Runtime) Boot(ctx context.Context, cfg system.Config) (system.Fleet, error) {
	f := &fleet{cfg: cfg, command: r.Command, children: map[string]*child{}, logFrom: map[string]int64{}}
	if err := f.prepare(ctx); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// prepare does all that a fleet needs before its first start.
func (f *fleet) prepare(ctx context.Context) error {
	if n := f.cfg.Broker.Replicas; n > 1 {
		return fmt.Errorf("%d brokers: the local runtime has one: take --runtime docker", n)
	}
	if f.cfg.Consistency == system.Consistency2PC && f.cfg.Database.URL == "" {
		return ErrNoServer
	}
	if f.command == nil {
		binary, err := os.Executable()
		if err != nil {
			return err
		}
		f.command = []string{binary, "serve"}
	}
	Sweep()
	if err := f.lock(); err != nil {
		return err
	}
	var err error
	if f.lease, f.leaseHeld, err = os.Pipe(); err != nil {
		return fmt.Errorf("lease: %w", err)
	}
	for _, c := range system.Components() {
		if c == system.Database {
			continue // files, here
		}
		if err := f.reserve(c); err != nil {
			return fmt.Errorf("%s: %w", c, err)
		}
	}
	if url := f.cfg.Database.URL; url != "" {
		if f.server, err = openServer(ctx, url); err != nil {
			return err
		}
	}
	return f.configure()
}

// ErrNoServer says that a stack asks for what files can't do.
var ErrNoServer = errors.New("system.consistency 2pc needs PostgreSQL: take --runtime docker, or name a server with system.database.url")

// lock makes sure that this is the only stack in its directory.
func (f *fleet) lock() error {
	path := filepath.Join(f.cfg.Dir, "lock")
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	f.locked = file
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			return fmt.Errorf("%s is in use by another stack: take another directory", f.cfg.Dir)
		}
		return fmt.Errorf("lock %s: %w", path, err)
	}
	return nil
}

// reserve takes the addresses of every replica that c may ever have. The
// replicas of the gateway share one, and the kernel spreads connections over
// those that run.
func (f *fleet) reserve(c system.Component) error {
	shared := ""
	for n := range f.cfg.Slots(c) {
		addr := shared
		if addr == "" {
			want := anyPort
			if c == system.Gateway && f.cfg.Gateway.Addr != "" {
				want = f.cfg.Gateway.Addr
			}
			var err error
			if addr, err = f.take(want); err != nil {
				return err
			}
			if c == system.Gateway {
				shared = addr
			}
		}
		admin, err := f.take(anyPort)
		if err != nil {
			return err
		}
		f.replicas = append(f.replicas, system.Replica{Name: c.ReplicaName(n), Component: c, Addr: addr, Admin: admin})
	}
	return nil
}

// anyPort is a free port of the loopback interface.
const anyPort = "127.0.0.1:0"

func (f *fleet) take(addr string) (string, error) {
	if strings.HasPrefix(addr, ":") {
		addr = "127.0.0.1" + addr // nothing of a stack is meant for the network
	}
	r, err := endpoint.Reserve(addr)
	if err != nil {
		return "", err
	}
	f.reserved = append(f.reserved, r)
	return r.Addr(), nil
}

// binary is the program to start. A binary that was replaced on disk while
// the stack runs must not be mixed into it, so its image in memory is taken.
func (f *fleet) binary() string {
	const image = "/proc/self/exe"
	if runtime.GOOS != "linux" {
		return f.command[0]
	}
	own, err := os.Executable()
	if err != nil || own != f.command[0] {
		return f.command[0]
	}
	onDisk, err := os.Stat(own)
	if err == nil {
		if loaded, err := os.Stat(image); err == nil && os.SameFile(onDisk, loaded) {
			return f.command[0]
		}
	}
	return image
}

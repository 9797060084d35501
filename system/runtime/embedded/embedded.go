// Package embedded is the infrastructure that comes inside this binary:
// RunBroker speaks Kafka's protocol and RunCache speaks Redis's, each as a
// component of its own that can be killed and started again.
//
// The invariant is that a process killed at any moment comes back with its
// data: the broker with every message, topic and group offset that it
// acknowledged, the cache with its keys as they were at most a second before.
// Data is written to files and not flushed, as Kafka and Redis do it by
// default: it outlives the process, not a power cut.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ordbench/ordbench/system/telemetry"
)

// validate returns every problem of the settings that all components share.
func validate(listen, admin, dir string) error {
	var problems []error
	for _, a := range []struct{ name, addr string }{{"listen", listen}, {"admin", admin}} {
		host, _, err := net.SplitHostPort(a.addr)
		switch {
		case err != nil:
			problems = append(problems, fmt.Errorf("%s address %q: want host:port", a.name, a.addr))
		case host == "" || net.ParseIP(host).IsUnspecified():
			problems = append(problems, fmt.Errorf("%s address %q: want the host under which others reach it", a.name, a.addr))
		}
	}
	if dir == "" {
		problems = append(problems, errors.New("no data directory"))
	}
	return errors.Join(problems...)
}

// claim makes dir and keeps every other process out of it until release,
// which the kernel does too when this process dies: two owners would write
// over each other's files.
func claim(dir string) (release func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, "owner.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("data directory %s: in use by another process", dir)
		}
		return nil, fmt.Errorf("data directory %s: %w", dir, err)
	}
	return func() { f.Close() }, nil
}

// replace writes data to path so that a reader finds the old content or the
// new, never a part.
func replace(path string, data []byte) error {
	next := path + ".next"
	if err := os.WriteFile(next, data, 0o600); err != nil {
		os.Remove(next)
		return err
	}
	return os.Rename(next, path)
}

// answers reports whether the server at addr answers question at all.
func answers(ctx context.Context, addr, question string) error {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() {
		_ = c.SetDeadline(time.Unix(1, 0)) // fails only on a connection that is closed already
	})
	defer stop()
	if _, err := io.WriteString(c, question); err != nil {
		return err
	}
	_, err = io.ReadFull(c, make([]byte, 4))
	return err
}

// health is the admin endpoint of a component that is ready when it answers
// question on its listen address.
func health(component, replica, addr, listen, question string) telemetry.Admin {
	return telemetry.Admin{
		Addr:      addr,
		Component: component,
		Replica:   replica,
		Ready: func(ctx context.Context) error {
			if err := answers(ctx, listen, question); err != nil {
				return fmt.Errorf("%s: %w", component, err)
			}
			return nil
		},
	}
}

// ignoreClosed is nil for a listener that was closed before.
func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

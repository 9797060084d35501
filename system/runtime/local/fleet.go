package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/ordbench/ordbench/system"
	"github.com/ordbench/ordbench/system/endpoint"
	"github.com/ordbench/ordbench/system/runtime/briefing"
)

// fleet is the places of one stack's replicas. It satisfies system.Fleet.
type fleet struct {
	cfg       system.Config
	command   []string
	replicas  []system.Replica
	reserved  []*endpoint.Reservation
	locked    *os.File
	server    *server  // of the databases; nil: they are files
	lease     *os.File // what children inherit
	leaseHeld *os.File // what ends them when it closes

	mu       sync.Mutex
	children map[string]*child // those that run, by replica
	logFrom  map[string]int64  // where the log of the latest process begins
	watchdog *exec.Cmd         // removes guarded when this process is gone; nil: there is nothing to guard
	guarded  string
}

// Replicas lists every place.
func (f *fleet) Replicas() []system.Replica { return f.replicas }

// Brokers are the addresses of the broker.
func (f *fleet) Brokers() []string { return f.addrs(system.Broker) }

// addrs are the service addresses of a component.
func (f *fleet) addrs(c system.Component) []string {
	var addrs []string
	for _, r := range f.replicas {
		if r.Component == c {
			addrs = append(addrs, r.Addr)
		}
	}
	return addrs
}

// Start starts a replica's process; its output is added to the replica's log.
func (f *fleet) Start(_ context.Context, replica string) (system.Process, error) {
	c, err := f.start(replica)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", replica, err)
	}
	return c, nil
}

func (f *fleet) start(replica string) (*child, error) {
	component, _, _ := strings.Cut(replica, "-")
	log, err := os.OpenFile(f.logPath(replica), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the child has its own
	from, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	cmd := &exec.Cmd{
		Path:        f.binary(),
		Args:        append(append([]string{}, f.command...), component, "--config", f.configPath(replica), "--lease-fd", "3"),
		Env:         append(os.Environ(), "GODEBUG="+briefing.Debug(os.Getenv("GODEBUG"))),
		Stdout:      log,
		Stderr:      log,
		ExtraFiles:  []*os.File{f.lease},
		SysProcAttr: bound(),
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.children[replica] != nil {
		return nil, errors.New("it runs already")
	}
	if err := fork(cmd, f.cfg.Awaited(system.Component(component))); err != nil {
		return nil, err
	}
	c := newChild(f, replica, cmd)
	f.children[replica], f.logFrom[replica] = c, from
	go func() {
		c.wait()
		f.mu.Lock()
		delete(f.children, replica)
		f.mu.Unlock()
		close(c.done)
	}()
	return c, nil
}

func (f *fleet) logPath(replica string) string {
	return filepath.Join(f.cfg.LogDir, replica+".log")
}

// tailBytes is how far back a tail looks.
const tailBytes = 16 << 10

// Tail returns the last lines of the log of a replica's latest process.
func (f *fleet) Tail(replica string, lines int) string {
	f.mu.Lock()
	from := f.logFrom[replica]
	f.mu.Unlock()
	log, err := os.Open(f.logPath(replica))
	if err != nil {
		return ""
	}
	defer log.Close()
	end, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return ""
	}
	from = max(from, end-tailBytes)
	text, err := io.ReadAll(io.NewSectionReader(log, from, end-from))
	if err != nil {
		return ""
	}
	all := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// Close ends what still runs and gives back addresses and directory.
func (f *fleet) Close() error {
	f.mu.Lock()
	var left []*child
	for _, c := range f.children {
		left = append(left, c)
	}
	f.mu.Unlock()
	for _, c := range left {
		_ = c.Kill() // an error means that it has ended already
		<-c.done
	}
	var problems []error
	for _, r := range f.reserved {
		problems = append(problems, r.Release())
	}
	for _, file := range []*os.File{f.lease, f.leaseHeld, f.locked} {
		if file != nil {
			problems = append(problems, file.Close())
		}
	}
	problems = append(problems, f.server.close())
	f.server = nil
	f.unguard()
	f.reserved, f.lease, f.leaseHeld, f.locked = nil, nil, nil, nil
	return errors.Join(problems...)
}

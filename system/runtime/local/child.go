package local

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/shirou/gopsutil/v4/process"

	"github.com/ordbench/ordbench/system"
)

// child is one process of a replica. It satisfies system.Process.
type child struct {
	cmd     *exec.Cmd
	fleet   *fleet
	replica string

	table *process.Process // its row in the process table; nil: none was found
	done  chan struct{}
	exit  string

	mu      sync.Mutex
	limited map[string]uint64 // soft limits as they were, of those that are lowered
}

func newChild(f *fleet, replica string, cmd *exec.Cmd) *child {
	// It can't have been reaped yet: an error would be that of a system
	// without a process table, and Usage says so.
	table, _ := process.NewProcess(int32(cmd.Process.Pid))
	return &child{cmd: cmd, fleet: f, replica: replica, table: table, done: make(chan struct{})}
}

// wait reaps the process.
func (c *child) wait() {
	err := c.cmd.Wait()
	c.exit = "exit status 0"
	if err != nil {
		c.exit = err.Error()
	}
}

func (c *child) PID() int              { return c.cmd.Process.Pid }
func (c *child) Done() <-chan struct{} { return c.done }

// Exit says how the process ended; only after Done.
func (c *child) Exit() string { return c.exit }

// Terminate asks for an orderly end. A paused process can only do so once it
// runs again.
func (c *child) Terminate() error {
	if err := c.signal(syscall.SIGTERM); err != nil {
		return err
	}
	if err := c.signal(syscall.SIGCONT); !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil // it did not wait to be told twice
}

func (c *child) Kill() error   { return c.signal(syscall.SIGKILL) }
func (c *child) Pause() error  { return c.signal(syscall.SIGSTOP) }
func (c *child) Resume() error { return c.signal(syscall.SIGCONT) }

func (c *child) signal(sig syscall.Signal) error {
	if err := c.cmd.Process.Signal(sig); err != nil {
		return fmt.Errorf("signal pid %d: %w", c.PID(), err)
	}
	return nil
}

// Stopped reads the process table.
func (c *child) Stopped() (stopped bool, state string, err error) {
	select {
	case <-c.done:
		return false, "", c.gone()
	default:
	}
	return stoppedInTable(c)
}

// Usage reads the process table.
func (c *child) Usage() (system.Usage, error) {
	select {
	case <-c.done:
		return system.Usage{}, c.gone()
	default:
	}
	if c.table == nil {
		return system.Usage{}, errors.New("the process table is not readable")
	}
	cpu, err := c.table.Times()
	if err != nil {
		return system.Usage{}, err
	}
	memory, err := c.table.MemoryInfo()
	if err != nil {
		return system.Usage{}, err
	}
	return system.Usage{
		CPU:      time.Duration((cpu.User + cpu.System) * float64(time.Second)),
		RSSBytes: int64(memory.RSS),
	}, nil
}

func (c *child) gone() error {
	return fmt.Errorf("pid %d has ended: %s: %w", c.PID(), c.exit, os.ErrProcessDone)
}

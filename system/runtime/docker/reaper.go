package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"
)

// reaper is a process of its own session that outlives this one and then
// removes its stack. It learns of the death by the end of a pipe, which no
// way to die leaves open.
type reaper struct {
	cmd   *exec.Cmd
	alive *os.File
}

// dismissal is what the reaper reads when there is nothing left to do.
const dismissal = "gone\n"

func startReaper(command []string, stack string) (*reaper, error) {
	if command == nil {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		command = []string{self, "reap"}
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer read.Close()
	cmd := exec.Command(command[0], append(command[1:len(command):len(command)], stack)...)
	cmd.Stdin = read
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, write.Close())
	}
	return &reaper{cmd: cmd, alive: write}, nil
}

// dismiss ends the reaper of a stack that is gone already.
func (r *reaper) dismiss() error {
	_, err := io.WriteString(r.alive, dismissal)
	err = errors.Join(err, r.alive.Close())
	if wait := r.cmd.Wait(); wait != nil {
		err = errors.Join(err, fmt.Errorf("the reaper: %w", wait))
	}
	return err
}

// reapLimit bounds what a reaper does after a death.
const reapLimit = 2 * time.Minute

// Reap is the life of a reaper: it reads alive until that ends, and then
// removes everything of the stack, unless it was dismissed.
func Reap(alive io.Reader, stack string) error {
	// What ends the others must not end the one that clears up after them.
	signal.Ignore(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	// The daemon is looked for while there is nothing to do yet: then the first
	// thing after a death is a removal.
	e, away := dial(context.Background(), pingLimit)
	said, err := io.ReadAll(alive)
	if err == nil && string(said) == dismissal {
		if e != nil {
			_ = e.Close()
		}
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), reapLimit)
	defer cancel()
	if away != nil {
		if e, err = dial(ctx, requestLimit); err != nil {
			return err
		}
	}
	defer func() { _ = e.Close() }()
	for quiet := time.Now(); time.Since(quiet) < quietFor; {
		h, err := list(ctx, e.api, labelStack+"="+stack)
		if err != nil || !h.empty() {
			if err = remove(ctx, e.api, stack); err != nil && ctx.Err() != nil {
				return err
			}
			quiet = time.Now()
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	dir, err := stateDir("stacks")
	if err != nil {
		return err
	}
	return os.Remove(dir + "/" + stack)
}

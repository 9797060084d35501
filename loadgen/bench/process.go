//go:build linux

package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// The server has one core for itself and the client another, so that neither
// is measured with the work of the other.
const (
	serverCore = 0
	clientCore = 1
)

// pinned is a command that runs on one core.
func pinned(core int, command ...string) *exec.Cmd {
	cmd := exec.Command("taskset", append([]string{"-c", strconv.Itoa(core)}, command...)...)
	cmd.Stderr = os.Stderr
	return cmd
}

// target is a server in a process of its own.
type target struct {
	url string
	cmd *exec.Cmd
	in  io.Closer
	out *bufio.Reader
}

// start runs a server with these flags.
func start(flags ...string) (*target, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := pinned(serverCore, append(append([]string{exe}, flags...), "serve")...)
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start server: %w", err)
	}
	t := &target{cmd: cmd, in: in, out: bufio.NewReader(out)}
	addr, err := t.out.ReadString('\n')
	if err != nil {
		_ = cmd.Process.Kill()
		return nil, fmt.Errorf("start server: %w", err)
	}
	t.url = "http://" + strings.TrimSpace(addr)
	return t, nil
}

// stop ends the server and gives the stamps that it kept.
func (t *target) stop() ([]stamp, error) {
	t.in.Close()
	rest, err := io.ReadAll(t.out)
	if err != nil {
		return nil, err
	}
	stamps := make([]stamp, len(rest)/binary.Size(stamp{}))
	if err := binary.Read(bytes.NewReader(rest), binary.LittleEndian, stamps); err != nil {
		return nil, err
	}
	if err := t.cmd.Wait(); err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	return stamps, nil
}

// run plays the job in a process of its own.
func (j job) run() (d done, err error) {
	exe, err := os.Executable()
	if err != nil {
		return d, err
	}
	cmd := pinned(clientCore, exe, "generate")
	text, err := json.Marshal(j)
	if err != nil {
		return d, err
	}
	cmd.Stdin = bytes.NewReader(text)
	out, err := cmd.Output()
	if err != nil {
		return d, fmt.Errorf("generator: %w", err)
	}
	if err := json.Unmarshal(out, &d); err != nil {
		return d, fmt.Errorf("generator: %w", err)
	}
	if d.OK != d.Scheduled {
		return d, fmt.Errorf("generator: %d of %d answered: %v", d.OK, d.Scheduled, d.Examples)
	}
	d.CPU = cpuTime(cmd)
	return d, nil
}

// cpuTime is what an ended process used, start and all.
func cpuTime(cmd *exec.Cmd) time.Duration {
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
}

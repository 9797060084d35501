package docker

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// ports gives a stack the ports that its containers publish. A container has
// its port only while it runs, so that somebody could take it while it is
// down: the ports lie below those that the kernel gives to connections, and a
// lock on a file keeps other stacks away.
type ports struct{ held []*os.File }

// portsFrom is where to look: below it are well-known services, and from
// ephemeral on the kernel chooses.
const portsFrom = 15000

// take returns a free port of the loopback interface.
func (p *ports) take() (int, error) {
	below := ephemeral()
	if below <= portsFrom+1000 {
		below = 32768 // a kernel that takes nearly all: hope
	}
	for range 1000 {
		port := portsFrom + rand.IntN(below-portsFrom)
		err := p.hold(port)
		if errors.Is(err, errTaken) {
			continue
		}
		return port, err
	}
	return 0, errors.New("no free port on the loopback interface")
}

var errTaken = errors.New("the port is taken")

// hold takes one port, or says errTaken.
func (p *ports) hold(port int) error {
	dir, err := stateDir("ports")
	if err != nil {
		return err
	}
	file, err := os.OpenFile(filepath.Join(dir, strconv.Itoa(port)), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		return errors.Join(errTaken, file.Close())
	}
	l, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return errors.Join(errTaken, file.Close())
	}
	p.held = append(p.held, file)
	return l.Close()
}

func (p *ports) release() error {
	var problems []error
	for _, f := range p.held {
		problems = append(problems, f.Close())
	}
	p.held = nil
	return errors.Join(problems...)
}

// ephemeral is the first of the ports that the kernel gives to connections.
func ephemeral() int {
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	low := 0
	if err != nil {
		return 49152 // as everywhere but on Linux
	}
	if _, err := fmt.Sscan(string(text), &low); err != nil {
		return 32768
	}
	return low
}

// stateDir is a directory of this user's, shared by all stacks.
func stateDir(name string) (string, error) {
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("ordbench-%d", os.Getuid()), name)
	return dir, os.MkdirAll(dir, 0o700)
}

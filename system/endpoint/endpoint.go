// Package endpoint keeps TCP addresses: Reserve holds one for the life of a
// stack, Listen and Serve use it for the life of a process. Problem and
// WriteJSON are how all services answer there.
//
// A reserved address is bound but not listening, so a connection to it is
// refused while its process is down, yet no other program and no outgoing
// connection can take it: a killed replica always comes back where its
// clients look for it.
package endpoint

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Reservation holds one loopback TCP address until Release.
type Reservation struct {
	fd   int
	addr string
}

// Reserve binds addr, "host:port" with an IPv4 host; port 0 takes a free one.
// The error says which address is taken.
func Reserve(addr string) (*Reservation, error) {
	r, err := reserve(addr)
	if err != nil {
		return nil, fmt.Errorf("reserve %s: %w", addr, err)
	}
	return r, nil
}

func reserve(addr string) (*Reservation, error) {
	tcp, err := net.ResolveTCPAddr("tcp4", addr)
	if err != nil {
		return nil, err
	}
	if tcp.Port != 0 {
		// SO_REUSEPORT would let two stacks of one user share a fixed port.
		if err := probe(addr); err != nil {
			return nil, err
		}
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return nil, err
	}
	unix.CloseOnExec(fd)
	bound, err := bind(fd, tcp)
	if err != nil {
		_ = unix.Close(fd) // why there is no reservation says more
		return nil, err
	}
	return &Reservation{fd: fd, addr: bound}, nil
}

// bind gives fd the address, to be shared with who listens on it later, and
// returns it with its port.
func bind(fd int, addr *net.TCPAddr) (string, error) {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
		return "", err
	}
	sa := &unix.SockaddrInet4{Port: addr.Port}
	copy(sa.Addr[:], addr.IP.To4())
	if err := unix.Bind(fd, sa); err != nil {
		return "", err
	}
	bound, err := unix.Getsockname(fd)
	if err != nil {
		return "", err
	}
	in4 := bound.(*unix.SockaddrInet4)
	return net.JoinHostPort(net.IP(in4.Addr[:]).String(), strconv.Itoa(in4.Port)), nil
}

// probe fails when any other socket holds addr.
func probe(addr string) error {
	l, err := net.Listen("tcp4", addr)
	if err != nil {
		var sys syscall.Errno
		if errors.As(err, &sys) {
			return sys
		}
		return err
	}
	return l.Close()
}

// Addr is the reserved "host:port".
func (r *Reservation) Addr() string { return r.addr }

// Release gives the address back.
func (r *Reservation) Release() error { return unix.Close(r.fd) }

// Listen listens on addr, which the parent process may hold reserved.
func Listen(ctx context.Context, addr string) (net.Listener, error) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var opt error
		err := c.Control(func(fd uintptr) {
			opt = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		})
		return errors.Join(err, opt)
	}}
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	return l, nil
}

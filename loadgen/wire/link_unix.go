//go:build unix

package wire

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// read is a read of the connection that tells when it finds nothing. A read
// that goes on may have found something already, so it looks itself.
func (l *link) read(b []byte) (n int, err error) {
	conn, ok := l.Conn.(syscall.Conn)
	if !ok {
		l.hush()
		return l.Conn.Read(b)
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var problem error
	err = raw.Read(func(fd uintptr) bool {
		l.stir()
		n, problem = unix.Read(int(fd), b)
		for problem == unix.EINTR {
			n, problem = unix.Read(int(fd), b)
		}
		if problem == unix.EAGAIN {
			l.hush()
		}
		return problem != unix.EAGAIN
	})
	switch {
	case err != nil:
		var op *net.OpError
		if errors.As(err, &op) {
			op.Op = "read" // raw-read says more than anybody wants to know
		}
		return 0, err
	case problem != nil:
		return 0, &net.OpError{Op: "read", Net: "tcp", Source: l.LocalAddr(), Addr: l.RemoteAddr(), Err: os.NewSyscallError("read", problem)}
	case n == 0 && len(b) > 0:
		return 0, io.EOF
	}
	return n, nil
}

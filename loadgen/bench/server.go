//go:build linux

package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// answer is what the server says to everything, but to a GET, which asks for
// the end of an order: that gets the other.
const (
	answer = "HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 41\r\n\r\n" +
		`{"order_id":"o-123456","status":"ACCEPT"}`
	ending = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 44\r\n\r\n" +
		`{"order_id":"o-123456","status":"CONFIRMED"}`
)

// server answers every request with the same few bytes, on one thread: the
// cheapest target there can be, so that what is measured is the generator.
type server struct {
	delay  time.Duration // from reading a request to answering it
	spin   bool          // look all the time, so that stamps are of arrivals and not of wake-ups
	clock  clock
	stamps []stamp // of the requests read; kept only up to its capacity

	epoll, listener int
	events          [64]unix.EpollEvent
	conns           map[int32]*served
	waiting         []pending
	ended           bool
}

// stamp is when a request was read, and the number in its path.
type stamp struct {
	Seq int64 // -1: the path holds none
	At  int64 // CLOCK_MONOTONIC, nanoseconds
}

// stdin is never written to.
const stdin = 0

type served struct {
	in   []byte
	used int
}

type pending struct {
	fd   int32
	at   time.Duration
	text string
}

// serve runs until stdin ends, prints its address first, and writes its
// stamps behind that.
func serve(s *server) error {
	runtime.LockOSThread()
	// On its one core a collection stops it for milliseconds just when it has
	// a thousand connections to accept. Nothing is allocated for a request.
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(256 << 20)
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	s.clock = newClock()
	s.conns = map[int32]*served{}
	if err := s.listen(); err != nil {
		return err
	}
	for !s.ended {
		if err := s.turn(); err != nil {
			return err
		}
	}
	if cap(s.stamps) == 0 {
		return nil
	}
	return binary.Write(os.Stdout, binary.LittleEndian, s.stamps)
}

func (s *server) listen() error {
	var err error
	if s.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return err
	}
	if s.listener, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
		return err
	}
	if err = unix.Bind(s.listener, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return err
	}
	if err = unix.Listen(s.listener, 4096); err != nil {
		return err
	}
	own, err := unix.Getsockname(s.listener)
	if err != nil {
		return err
	}
	fmt.Println(net.JoinHostPort("127.0.0.1", strconv.Itoa(own.(*unix.SockaddrInet4).Port)))
	// No goroutine looks whether stdin has ended: a thread that spins may not
	// let another run.
	for _, fd := range []int{s.listener, stdin} {
		if err := unix.EpollCtl(s.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}); err != nil {
			return err
		}
	}
	return nil
}

// turn is one round of the loop.
func (s *server) turn() error {
	now := s.clock.now()
	for len(s.waiting) > 0 && s.waiting[0].at <= now {
		s.answer(s.waiting[0].fd, s.waiting[0].text)
		s.waiting = s.waiting[1:] // append moves what is left to the front of new memory, now and then
	}
	wait := time.Minute
	if len(s.waiting) > 0 {
		wait = min(wait, s.waiting[0].at-now)
	}
	if s.spin {
		wait = 0
	}
	n, err := pwait(s.epoll, s.events[:], wait)
	if err != nil {
		return err
	}
	for _, e := range s.events[:n] {
		switch int(e.Fd) {
		case stdin:
			s.ended = true
		case s.listener:
			s.accept()
		default:
			s.read(e.Fd)
		}
	}
	return nil
}

// accept takes a few: whoever came first is served before all are accepted.
func (s *server) accept() {
	for range 16 {
		fd, _, err := unix.Accept4(s.listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err != nil {
			return
		}
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		s.conns[int32(fd)] = &served{in: make([]byte, 4<<10)}
		if err := unix.EpollCtl(s.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}); err != nil {
			s.shut(int32(fd))
		}
	}
}

func (s *server) read(fd int32) {
	c := s.conns[fd]
	if c == nil {
		return
	}
	n, err := recv(fd, c.in[c.used:])
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
		return
	}
	if n == 0 || err != nil {
		s.shut(fd)
		return
	}
	now := s.clock.now()
	c.used += n
	for {
		size := requestSize(c.in[:c.used])
		if size < 0 || size > c.used {
			return
		}
		if len(s.stamps) < cap(s.stamps) {
			s.stamps = append(s.stamps, stamp{number(c.in), s.clock.absolute(now)})
		}
		text := answer
		if c.in[0] == 'G' {
			text = ending
		}
		c.used = copy(c.in, c.in[size:c.used])
		if s.delay == 0 {
			s.answer(fd, text)
		} else {
			s.waiting = append(s.waiting, pending{fd, now + s.delay, text})
		}
		if c.used == 0 {
			return
		}
	}
}

func (s *server) answer(fd int32, text string) {
	if _, err := send(fd, unsafe.Slice(unsafe.StringData(text), len(text))); err != nil {
		s.shut(fd)
	}
}

func (s *server) shut(fd int32) {
	if s.conns[fd] != nil {
		delete(s.conns, fd)
		_ = unix.Close(int(fd))
	}
}

// requestSize is how long the request at the start of b is, -1 if its head is
// not complete.
func requestSize(b []byte) int {
	head := bytes.Index(b, []byte("\r\n\r\n"))
	if head < 0 {
		return -1
	}
	body := 0
	for _, name := range []string{"\r\nContent-Length: ", "\r\ncontent-length: "} {
		if at := bytes.Index(b[:head], []byte(name)); at >= 0 {
			for _, d := range b[at+len(name) : head] {
				if d < '0' || d > '9' {
					break
				}
				body = body*10 + int(d-'0')
			}
			break
		}
	}
	return head + 4 + body
}

// number is the number that the path of a request ends with.
func number(request []byte) int64 {
	path, _, _ := bytes.Cut(request, []byte(" HTTP/"))
	n, err := strconv.ParseInt(string(path[bytes.LastIndexByte(path, '/')+1:]), 10, 64)
	if err != nil {
		return -1
	}
	return n
}

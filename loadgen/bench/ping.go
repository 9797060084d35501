//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ping is the least client that there can be, which shares no code with the
// engine: one thread that sends a request each Every, and looks for answers
// without a pause. It sleeps only when it has nothing to do for long, and is
// up again well before the next request. What it sees, from before a request is
// written until the kernel has the answer, is the truth that the engine is
// held to.
type ping struct {
	Addr  string
	Calls int
	Every time.Duration
}

// pings are the times of its calls, CLOCK_MONOTONIC, nanoseconds. The first
// call was due at Start.
type pings struct {
	Start          int64
	Sent, Answered []int64
}

// run plays it in a process of its own against a server that spins, has these
// flags, and keeps stamps of at most so many requests.
func (p ping) run(most int, flags ...string) (all pings, stamps []stamp, err error) {
	s, err := start(append(flags, "-spin", "-stamps", strconv.Itoa(most))...)
	if err != nil {
		return all, nil, err
	}
	exe, err := os.Executable()
	if err != nil {
		return all, nil, err
	}
	p.Addr = strings.TrimPrefix(s.url, "http://")
	text, err := json.Marshal(p)
	if err != nil {
		return all, nil, err
	}
	cmd := pinned(clientCore, exe, "ping")
	cmd.Stdin = bytes.NewReader(text)
	out, err := cmd.Output()
	stamps, stop := s.stop()
	if err != nil || stop != nil {
		return all, nil, fmt.Errorf("ping: %w", errors.Join(err, stop))
	}
	return all, stamps, json.Unmarshal(out, &all)
}

// play plays the ping that stdin holds, and writes its times.
func (p ping) play() error {
	runtime.LockOSThread()
	if err := json.NewDecoder(os.Stdin).Decode(&p); err != nil {
		return err
	}
	port, err := strconv.Atoi(p.Addr[strings.LastIndexByte(p.Addr, ':')+1:])
	if err != nil {
		return err
	}
	var (
		fds     [conns]int32
		clock   = newClock()
		all     pings
		answers int
		alone   int // the last call that was sent with none in flight: it and those after it take the connections in turn
		got     int // bytes of the answer that comes next
		in      [4 << 10]byte
	)
	for i := range fds {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		if err := unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			return err
		}
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS_NEW, 1)
		fds[i] = int32(fd)
	}
	all.Sent, all.Answered = make([]int64, 0, p.Calls), make([]int64, 0, p.Calls)
	request := make([]byte, 0, 1<<10)
	start := clock.now()
	all.Start = clock.absolute(start)
	for answers < p.Calls {
		next := len(all.Sent)
		if left := start + time.Duration(next)*p.Every - clock.now(); next == answers && left > 2*time.Millisecond {
			ts := unix.NsecToTimespec(int64(left - 2*time.Millisecond))
			_ = unix.Nanosleep(&ts, nil) // a signal may end it early
		}
		if next < p.Calls && next < answers+conns && clock.now() >= start+time.Duration(next)*p.Every {
			request = fmt.Appendf(request[:0], "POST /orders/%d HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", next, p.Addr, len(body), body)
			all.Sent = append(all.Sent, clock.absolute(clock.now()))
			if next == answers {
				alone = next // so where one connection is enough, one is used, as the engine does
			}
			if n, err := send(fds[(next-alone)%conns], request); err != nil || n < len(request) {
				return fmt.Errorf("%d of %d bytes sent: %w", n, len(request), err)
			}
		}
		if answers == len(all.Sent) {
			continue
		}
		// The server answers in the order in which it was asked.
		n, at, err := stampedRecv(fds[(answers-alone)%conns], in[:])
		switch {
		case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return err
		case n == 0: // the server is gone
			return io.ErrUnexpectedEOF
		}
		if got += n; got == len(answer) {
			all.Answered = append(all.Answered, at)
			answers, got = answers+1, 0
		}
	}
	return json.NewEncoder(os.Stdout).Encode(all)
}

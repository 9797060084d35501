// Package proxy stands in one link between two processes and disturbs it:
// Open one, give its Addr to the client, and Set rules. Without a rule it
// passes bytes on; Probe measures what a connection meets now.
//
// The invariant: what is passed on is passed on whole and in order. A
// connection that has lost a byte to a rule is never healed, it is reset when
// the rule is taken away, as a network would do it in the end.
//
// It works on TCP, so it can't lose or reorder packets, and it can't delay the
// handshake: a connection is accepted before anything happens to it.
package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Link is a proxy of one address.
type Link struct {
	upstream string
	addr     string
	reserved int // a bound socket that keeps the port while nobody listens

	rules  atomic.Pointer[[]*standing]
	nextID atomic.Uint64

	mu       sync.Mutex
	changed  chan struct{} // closed at each change of the rules, and replaced
	listener net.Listener  // nil: refused
	conns    map[*conn]struct{}
	probes   map[string]bool // local addresses of connections that are probes
	closed   bool
	running  sync.WaitGroup
}

// Open listens on a free loopback port for connections to upstream.
func Open(upstream string) (*Link, error) { return Listen("127.0.0.1:0", upstream) }

// Listen listens on an IPv4 address for connections to upstream, whose name
// is looked up anew for each.
func Listen(addr, upstream string) (*Link, error) {
	l := &Link{upstream: upstream, changed: make(chan struct{}), conns: map[*conn]struct{}{}, probes: map[string]bool{}}
	l.rules.Store(&[]*standing{})
	at, err := netip.ParseAddrPort(addr)
	if err != nil || !at.Addr().Is4() {
		return nil, fmt.Errorf("proxy of %s: %q is no IPv4 address with a port", upstream, addr)
	}
	if l.reserved, l.addr, err = reserve(at); err != nil {
		return nil, fmt.Errorf("proxy of %s: %w", upstream, err)
	}
	if err := l.listen(); err != nil {
		return nil, errors.Join(fmt.Errorf("proxy of %s: %w", upstream, err), unix.Close(l.reserved))
	}
	return l, nil
}

// Addr is where clients connect to.
func (l *Link) Addr() string { return l.addr }

// Upstream is where their connections go to.
func (l *Link) Upstream() string { return l.upstream }

// reserve binds a socket without listening.
func reserve(at netip.AddrPort) (fd int, addr string, err error) {
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return 0, "", err
	}
	unix.CloseOnExec(fd)
	err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrInet4{Addr: at.Addr().As4(), Port: int(at.Port())})
	}
	var bound unix.Sockaddr
	if err == nil {
		bound, err = unix.Getsockname(fd)
	}
	if err != nil {
		return 0, "", errors.Join(err, unix.Close(fd))
	}
	return fd, netip.AddrPortFrom(at.Addr(), uint16(bound.(*unix.SockaddrInet4).Port)).String(), nil
}

// listen takes connections from now on.
func (l *Link) listen() error {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var opt error
		err := c.Control(func(fd uintptr) { opt = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
		return errors.Join(err, opt)
	}}
	listener, err := lc.Listen(context.Background(), "tcp4", l.addr)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.listener = listener
	l.running.Go(func() { l.accept(listener) })
	return nil
}

func (l *Link) accept(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return // it was closed: by Close, or by a rule that refuses
		}
		l.running.Go(func() { l.serve(client) })
	}
}

// serve joins a client with the upstream until one of them is done.
func (l *Link) serve(client net.Conn) {
	id, probe := l.nextID.Add(1), l.isProbe(client)
	if probe {
		id = 0
	}
	if l.turnsAway(id) {
		reset(client)
		return
	}
	server, err := l.reach(probe)
	if err != nil {
		reset(client)
		return
	}
	c := &conn{link: l, id: id, client: client, server: server, gone: make(chan struct{}), met: map[*standing]time.Time{}}
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		c.reset()
		return
	}
	l.conns[c] = struct{}{}
	l.mu.Unlock()
	c.run()
	l.mu.Lock()
	delete(l.conns, c)
	l.mu.Unlock()
}

// turnsAway says whether a connection that was accepted meets a refusal.
func (l *Link) turnsAway(id uint64) bool {
	for _, s := range *l.rules.Load() {
		if s.turnsAway() && (id == 0 || s.meets(id)) {
			if id != 0 {
				s.conns.Add(1)
			}
			return true
		}
	}
	return false
}

// Set puts a rule on the link under a name, in place of one of that name.
func (l *Link) Set(name string, r Rule) error {
	l.change(func(rules []*standing) []*standing {
		rules = drop(rules, name)
		return append(rules, &standing{Rule: r, id: name, lifted: make(chan struct{})})
	})
	return l.obey()
}

// Clear takes a rule away. Connections that lost bytes to it are reset.
func (l *Link) Clear(name string) (Count, error) {
	count, _ := l.Count(name)
	l.change(func(rules []*standing) []*standing { return drop(rules, name) })
	return count, l.obey()
}

// Count is what a rule has done so far; false if there is none of that name.
func (l *Link) Count(name string) (Count, bool) {
	for _, s := range *l.rules.Load() {
		if s.id == name {
			return s.count(), true
		}
	}
	return Count{}, false
}

func drop(rules []*standing, name string) []*standing {
	return slices.DeleteFunc(rules, func(s *standing) bool {
		if s.id == name {
			close(s.lifted)
		}
		return s.id == name
	})
}

func (l *Link) change(how func([]*standing) []*standing) {
	l.mu.Lock()
	defer l.mu.Unlock()
	rules := how(slices.Clone(*l.rules.Load()))
	l.rules.Store(&rules)
	close(l.changed)
	l.changed = make(chan struct{})
}

// news is closed at the next change of the rules.
func (l *Link) news() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changed
}

// obey listens, or refuses, as the rules want it.
func (l *Link) obey() error {
	var refusing []*standing
	all := false
	for _, s := range *l.rules.Load() {
		if s.turnsAway() {
			refusing, all = append(refusing, s), all || s.everybody()
		}
	}
	l.mu.Lock()
	listener, closed := l.listener, l.closed
	if all {
		l.listener = nil
	}
	open := make([]*conn, 0, len(l.conns))
	for c := range l.conns {
		open = append(open, c)
	}
	l.mu.Unlock()
	if all && listener != nil {
		_ = listener.Close() // it refuses from here on, whatever Close says
	}
	for _, c := range open {
		for _, s := range refusing {
			if c.id == 0 || s.meets(c.id) {
				c.meet(s)
				c.reset()
			}
		}
	}
	if !all && listener == nil && !closed {
		return l.listen()
	}
	return nil
}

// Close ends the listener and every connection, and waits for them.
func (l *Link) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	listener := l.listener
	open := make([]*conn, 0, len(l.conns))
	for c := range l.conns {
		open = append(open, c)
	}
	l.mu.Unlock()
	if listener != nil {
		_ = listener.Close()
	}
	for _, c := range open {
		c.reset()
	}
	l.running.Wait()
	return unix.Close(l.reserved)
}

// reset ends a connection with a RST, as a peer that has gone does.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // without it the end is an orderly one
	}
	_ = c.Close()
}

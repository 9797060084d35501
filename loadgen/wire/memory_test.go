package wire

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// memory is a kernel over any net.Conn, which makes a loop run under synthetic
// time and on networks in memory.
type memory struct {
	start time.Time
	dial  func(ctx context.Context, network, addr string) (net.Conn, error)
	some  chan struct{} // something happened
	ctx   context.Context
	end   context.CancelFunc
	work  sync.WaitGroup

	mu   sync.Mutex
	ends []*memoryConn // by descriptor
}

type memoryConn struct {
	token int32
	told  happening // not told yet
	out   chan []byte
	in    []byte
	err   error // behind in
	shut  context.CancelFunc
}

func newMemory(start time.Time, dial func(ctx context.Context, network, addr string) (net.Conn, error)) *memory {
	ctx, end := context.WithCancel(context.Background())
	return &memory{start: start, dial: dial, some: make(chan struct{}, 1), ctx: ctx, end: end}
}

func (m *memory) now() time.Duration { return time.Since(m.start) }

func (m *memory) wake() {
	select {
	case m.some <- struct{}{}:
	default:
	}
}

func (m *memory) close() {
	m.end()
	m.work.Wait()
}

func (m *memory) wait(events []event, timeout time.Duration) (int, error) {
	if n := m.look(events); n > 0 || timeout == 0 {
		return n, nil
	}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-m.some:
	case <-timer.C:
	}
	return m.look(events), nil
}

func (m *memory) look(events []event) (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.ends {
		if c != nil && c.told != 0 && n < len(events) {
			events[n] = event{c.token, c.told}
			c.told = 0
			n++
		}
	}
	return n
}

func (m *memory) open(to netip.AddrPort, token int32) (int, error) {
	ctx, shut := context.WithCancel(m.ctx)
	c := &memoryConn{token: token, out: make(chan []byte, 16), shut: shut}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ends = append(m.ends, c)
	m.work.Go(func() { m.carry(ctx, c, to) })
	return len(m.ends) - 1, nil
}

// tell notes what has happened.
func (m *memory) tell(c *memoryConn, what happening, in []byte, err error) {
	m.mu.Lock()
	c.told |= what
	c.in = append(c.in, in...)
	if err != nil {
		c.err = err
	}
	m.mu.Unlock()
	m.wake()
}

// carry moves bytes until ctx ends.
func (m *memory) carry(ctx context.Context, c *memoryConn, to netip.AddrPort) {
	conn, err := m.dial(ctx, "tcp", to.String())
	if err != nil {
		m.tell(c, gone, nil, err)
		return
	}
	m.work.Go(func() {
		<-ctx.Done()
		conn.Close()
	})
	m.work.Go(func() {
		for {
			select {
			case p := <-c.out:
				conn.Write(p) // an error shows at the reads too
			case <-ctx.Done():
				return
			}
		}
	})
	m.tell(c, writable, nil, nil)
	p := make([]byte, 4<<10)
	for {
		n, err := conn.Read(p)
		if err != nil {
			m.tell(c, readable|gone, p[:n], io.EOF)
			return
		}
		m.tell(c, readable, p[:n], nil)
	}
}

func (m *memory) connected(fd int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c := m.ends[fd]; !errors.Is(c.err, io.EOF) {
		return c.err
	}
	return nil
}

func (m *memory) nap(time.Duration) bool { return false }

func (m *memory) read(fd int, p []byte) (int, time.Duration, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.ends[fd]
	if len(c.in) == 0 && c.err != nil {
		return 0, 0, c.err
	}
	if len(c.in) == 0 {
		return 0, 0, errAgain
	}
	n := copy(p, c.in)
	c.in = c.in[n:]
	return n, m.now(), nil
}

func (m *memory) write(fd int, p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ends[fd].out <- append([]byte(nil), p...)
	return len(p), nil
}

func (m *memory) shut(fd int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ends[fd].shut()
	m.ends[fd] = nil
}

package bus

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// dialTimeout bounds one attempt to connect: a broker answers at once or is
// away.
const dialTimeout = time.Second

var errSevered = errors.New("connections were severed")

// dialer opens connections and can sever all of them at once, which ends
// whatever waits for a broker: kafka-go's group membership takes no context.
type dialer struct {
	detours map[string]string // where to go instead, by address

	mu      sync.Mutex
	open    map[*trackedConn]struct{}
	severed bool
}

// dial connects to address, unless the dialer is severed.
func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if d.isSevered() {
		return nil, errSevered
	}
	if detour, ok := d.detours[address]; ok {
		address = detour
	}
	nd := net.Dialer{Timeout: dialTimeout}
	conn, err := nd.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.severed {
		conn.Close()
		return nil, errSevered
	}
	t := &trackedConn{Conn: conn, dialer: d}
	if d.open == nil {
		d.open = map[*trackedConn]struct{}{}
	}
	d.open[t] = struct{}{}
	return t, nil
}

func (d *dialer) isSevered() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.severed
}

// sever closes every connection and refuses new ones.
func (d *dialer) sever() {
	d.mu.Lock()
	d.severed = true
	open := d.open
	d.open = nil
	d.mu.Unlock()
	for t := range open {
		t.Conn.Close()
	}
}

type trackedConn struct {
	net.Conn
	dialer *dialer
}

func (t *trackedConn) Close() error {
	t.dialer.mu.Lock()
	delete(t.dialer.open, t)
	t.dialer.mu.Unlock()
	return t.Conn.Close()
}

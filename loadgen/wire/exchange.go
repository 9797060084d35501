package wire

import (
	"errors"
	"time"

	"github.com/ordbench/ordbench/loadgen"
)

// errClosedEarly is a connection that its target closed before it was used.
var errClosedEarly = errors.New("closed by the target before the request")

// send makes the request of a call that is in flight now.
func (l *loop) send(c *conn) {
	c.written, c.tried = 0, 0
	c.in.reset(c.call.Method == "HEAD")
	if c.unfit != nil {
		l.fail(c, loadgen.Refused, c.unfit)
		return
	}
	if c.fresh = c.fd < 0; c.fresh {
		c.route = l.route
		l.connect(c, l.lost)
		return
	}
	l.write(c)
}

// connect tries one address after the other; err is why the last one failed.
func (l *loop) connect(c *conn, err error) {
	c.fresh, c.state = true, connecting
	for ; c.tried < len(l.routes); c.tried++ {
		if c.fd, err = l.os.open(l.routes[c.route], c.token); err == nil {
			return
		}
		c.route = (c.route + 1) % len(l.routes)
	}
	l.fail(c, loadgen.Refused, err)
}

// write sends what is left of the request.
func (l *loop) write(c *conn) {
	for c.written < len(c.out) {
		n, err := l.os.write(c.fd, c.out[c.written:])
		switch {
		case err == nil:
			c.written += n
		case errors.Is(err, errAgain):
			c.state = sending
			return
		case c.written > 0:
			l.fail(c, loadgen.Broken, err)
			return
		case c.fresh:
			l.fail(c, loadgen.Refused, err)
			return
		default:
			// The target closed it while it was idle. No byte is out.
			l.hangUp(c)
			c.route = l.route
			l.connect(c, err)
			return
		}
	}
	c.state = receiving
}

// handle does what has become possible on a connection.
func (l *loop) handle(c *conn, what happening) {
	switch c.state {
	case free, holding:
		// It was closed, or says what nobody asked for.
		if what&(readable|gone) != 0 && c.fd >= 0 {
			if c.state == free {
				l.unlist(c)
				l.spare = append(l.spare, c)
			}
			l.hangUp(c)
		}
		return
	case connecting:
		if err := l.os.connected(c.fd); err != nil {
			l.hangUp(c)
			c.tried++
			c.route = (c.route + 1) % len(l.routes)
			l.connect(c, err)
			return
		}
		if what&gone != 0 {
			l.fail(c, loadgen.Refused, errClosedEarly)
			return
		}
		l.route = c.route
		l.write(c)
	case sending:
		if what&writable != 0 {
			l.write(c)
		}
	}
	if what&(readable|gone) != 0 && (c.state == sending || c.state == receiving) {
		l.read(c, what&gone != 0)
	}
}

// read scans what has come of the answer.
func (l *loop) read(c *conn, closed bool) {
	for {
		space := c.in.space()
		n, at, err := l.os.read(c.fd, space)
		if errors.Is(err, errAgain) {
			return
		}
		done := false
		if err == nil {
			done, err = c.in.add(n)
		} else if n = len(space); isEOF(err) {
			closed, at = true, l.os.now()
			err = c.in.eof()
			done = err == nil
		}
		if err != nil {
			l.fail(c, loadgen.Broken, err)
			return
		}
		if done {
			reusable := !closed && c.state == receiving && c.in.reusable()
			if reusable && n == len(space) {
				// There may be more behind it, which nobody asked for and nobody
				// will tell of again: the next call would take it for its answer.
				_, _, err := l.os.read(c.fd, make([]byte, 1))
				reusable = errors.Is(err, errAgain)
			}
			l.finish(c, at, reusable)
			return
		}
		if n < len(space) && !closed {
			return // more will be told
		}
	}
}

// finish settles a call whose answer was complete at that time.
func (l *loop) finish(c *conn, at time.Duration, reusable bool) {
	c.reply.Done = max(at, c.reply.Sent)
	c.reply.Body = c.in.answer()
	l.settle(c)
	if !reusable {
		l.hangUp(c)
	}
	l.release(c)
}

// fail ends the connection of a call, and settles it with f unless the load
// was stopped.
func (l *loop) fail(c *conn, f loadgen.Failure, err error) {
	c.reply.Done = l.os.now()
	if l.killed {
		f = loadgen.Unfinished
	}
	c.reply.Failure, c.reply.Err = f, err
	l.settle(c)
	l.hangUp(c)
	l.release(c)
}

// settle tells what became of a call that was in flight.
func (l *loop) settle(c *conn) {
	l.flights.remove(c)
	if c.in.status > 0 {
		c.reply.Status, c.reply.Header = c.in.status, c.header
	}
	c.ready = c.reply.Done
	l.tell(c)
}

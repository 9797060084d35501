package wire

import (
	"context"
	"net/netip"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/ordbench/ordbench/loadgen"
)

const (
	// burst bounds how many calls start between two looks at the answers.
	burst = 32
	// dense is the average gap between calls below which a loop does not rise
	// for each of them, at more than 20,000 a second: that would cost more
	// than to send it. It rises for all that have come due in a quantum.
	dense   = 50 * time.Microsecond
	quantum = 2 * stride
	// turn is how long a loop runs before it gives way: Go's scheduler stops
	// who has not done so for ten milliseconds, wherever that is. Giving way
	// takes some tens of microseconds, so it is done where there is room.
	turn = 8 * time.Millisecond
	room = 100 * time.Microsecond
	// never is no time to wait for.
	never = loadgen.Never
)

// loop is one thread that does everything for its connections, one thing at a
// time: it starts calls when they are due, reads answers, and ends what has no
// time left. Whatever it does not do it waits for in the kernel.
type loop struct {
	os      kernel
	job     loadgen.Job
	timeout time.Duration
	origin  origin
	routes  []netip.AddrPort
	lost    error // why there are no routes
	route   int   // that worked last

	idle    []*conn       // connected and free, the latest last
	spare   []*conn       // free, not connected
	held    *conn         // with the next call, nil if there is none to be had
	rise    time.Duration // when to wake for it; -1 before that is decided
	rose    time.Duration // when it last woke for one
	ends    time.Duration // the turn
	last    time.Duration // due time of the call before
	gap     time.Duration // between due times, on average
	more    bool          // there may be calls to take
	behind  bool          // calls may be due that were not looked at
	flights flights
	steps   loadgen.Flows // nil where no call has a next step
	later   later         // calls that wait for their time without a connection
	conns   []conn
	margin  margin
	stopped atomic.Int64 // when the load was stopped, -1 before
	killed  bool         // what is in flight is given up
}

// newLoop has n connections, none of them connected.
func newLoop(n int, most time.Duration) *loop {
	l := &loop{conns: make([]conn, n), more: true, margin: margin{size: most, most: most}, gap: time.Millisecond}
	l.stopped.Store(-1)
	for i := range l.conns {
		c := &l.conns[n-1-i]
		c.token, c.fd = int32(n-1-i), -1
		c.header = c.in.header
		l.spare = append(l.spare, c)
	}
	return l
}

// stop ends the load now. It may be called by any goroutine.
func (l *loop) stop() {
	l.stopped.CompareAndSwap(-1, int64(max(0, l.os.now())))
	l.os.wake()
}

func (l *loop) isStopped() bool { return l.stopped.Load() >= 0 }

// run settles calls until there are no more.
func (l *loop) run() error {
	defer l.hangUpAll()
	now := l.os.now()
	for i := range l.conns {
		l.conns[i].ready = now
	}
	var events [64]event
	for {
		l.expire()
		l.begin() // last, so that no connection is free while a call may wait
		if l.held == nil && !l.behind && l.flights.first == nil && len(l.later.calls) == 0 && (!l.more || l.isStopped()) {
			return nil
		}
		n, err := l.wait(events[:])
		if err != nil {
			l.giveUp(err)
			return err
		}
		for _, e := range events[:n] {
			l.handle(&l.conns[e.token], e.what)
		}
	}
}

// begin starts the calls that are due, and holds the one that comes next.
func (l *loop) begin() {
	l.behind = false
	for range burst {
		if len(l.later.calls) > 0 && l.beginLater() {
			continue
		}
		if l.held == nil && !l.take() {
			return
		}
		c, now := l.held, l.os.now()
		if now < c.call.Due && !l.isStopped() {
			return
		}
		l.held = nil
		l.start(c, now)
	}
	l.behind = true
}

// take gets the next call for a free connection, and has its request ready
// before it is due.
func (l *loop) take() bool {
	if !l.more || l.isStopped() {
		return false
	}
	c := l.free()
	if c == nil {
		return false // the schedule is the queue
	}
	if l.more = l.job.Calls.Next(&c.call); !l.more {
		l.release(c)
		return false
	}
	c.state = holding
	l.gap += (c.call.Due - l.last - l.gap) / 64
	l.last = c.call.Due
	c.out, c.unfit = l.origin.append(c.out[:0], &c.call)
	l.held, l.rise = c, -1
	return true
}

// free takes a connection that is free, nil if none is.
func (l *loop) free() (c *conn) {
	if n := len(l.idle); n > 0 {
		c = l.idle[n-1]
		l.idle = l.idle[:n-1]
	} else if n := len(l.spare); n > 0 {
		c = l.spare[n-1]
		l.spare = l.spare[:n-1]
	}
	return c
}

// start sends the call that c holds, or says why it can't be sent any more.
func (l *loop) start(c *conn, now time.Duration) {
	c.reply = loadgen.Reply{Ready: c.ready, Sent: -1, Done: now}
	late := c.call.Due + l.timeout
	switch {
	case l.isStopped() && now < c.call.Due:
		c.reply.Failure = loadgen.Withdrawn
	case now >= late:
		// The customer left at that time, even if the engine sees it now.
		c.reply.Failure, c.reply.Done = loadgen.NotSent, late
	case l.isStopped():
		c.reply.Failure = loadgen.Stopped
	default:
		c.reply.Sent, c.deadline = now, now+l.timeout
		l.flights.push(c)
		l.send(c)
		return
	}
	l.tell(c)
	l.release(c)
}

// release lets a connection have another call.
func (l *loop) release(c *conn) {
	c.state = free
	if c.fd < 0 {
		l.spare = append(l.spare, c)
		return
	}
	c.slot = len(l.idle)
	l.idle = append(l.idle, c)
}

// unlist takes c out of the idle.
func (l *loop) unlist(c *conn) {
	last := len(l.idle) - 1
	l.idle[c.slot] = l.idle[last]
	l.idle[c.slot].slot = c.slot
	l.idle = l.idle[:last]
}

// hangUp closes the connection, if there is one.
func (l *loop) hangUp(c *conn) {
	if c.fd < 0 {
		return
	}
	l.os.shut(c.fd)
	c.fd = -1
	c.in.forget()
}

func (l *loop) hangUpAll() {
	for i := range l.conns {
		l.hangUp(&l.conns[i])
	}
}

// expire ends what has no time left.
func (l *loop) expire() {
	c := l.flights.first
	if c == nil {
		return
	}
	now := l.os.now()
	if now >= l.end() {
		l.giveUp(context.Canceled)
		return
	}
	for ; c != nil && c.deadline <= now; c = l.flights.first {
		l.fail(c, loadgen.TimedOut, os.ErrDeadlineExceeded)
	}
}

// end is when what is in flight is given up.
func (l *loop) end() time.Duration {
	if at := l.stopped.Load(); at >= 0 {
		return time.Duration(at) + l.job.Grace
	}
	return never
}

// giveUp leaves everything unfinished.
func (l *loop) giveUp(err error) {
	l.killed = true
	l.stopped.CompareAndSwap(-1, int64(max(0, l.os.now())))
	if c := l.held; c != nil {
		l.held = nil
		l.start(c, l.os.now())
	}
	for c := l.flights.first; c != nil; c = l.flights.first {
		l.fail(c, loadgen.Unfinished, err)
	}
	l.dropLater()
}

// wait sleeps until something happens or has to be done, but for the last
// microseconds before a call is due: then it only looks, again and again.
func (l *loop) wait(events []event) (int, error) {
	if l.behind {
		return l.os.wait(events, 0)
	}
	now, until, paced := l.os.now(), l.end(), false
	if c := l.flights.first; c != nil {
		until = min(until, c.deadline)
	}
	if len(l.later.calls) > 0 && (l.held != nil || len(l.idle)+len(l.spare) > 0) {
		until = min(until, l.later.calls[0].Due)
	}
	if l.held != nil {
		if l.rise < 0 {
			l.rise = l.riseFor(l.held.call.Due, now)
		}
		if l.rise <= until {
			until, paced = l.rise, true
		}
	}
	if now >= l.ends && until-now > room {
		runtime.Gosched()
		now = l.os.now()
		l.ends = now + turn
	}
	if now < l.ends && l.ends < until-wakeUp { // a little longer than its turn does no harm
		return l.os.wait(events, l.ends-now)
	}
	if paced && until > now {
		return l.approach(events, until, now)
	}
	return l.os.wait(events, max(0, until-now))
}

// approach sleeps for a while on the way to until, when a call has to be
// watched for. A core that was left asleep for long takes tens to hundreds of
// microseconds to wake, and one that has just been awake far less. So a long
// sleep ends early, and the last one is short.
func (l *loop) approach(events []event, until, now time.Duration) (int, error) {
	left := until - now
	if before := wakeBefore(left); before > 0 {
		return l.os.wait(events, left-before)
	}
	l.rose = until
	if l.os.nap(left) {
		l.margin.adapt(l.os.now() - until)
		l.begin() // before the answers, whose times the kernel has kept
		return l.os.wait(events, 0)
	}
	n, err := l.os.wait(events, left)
	if n == 0 {
		l.margin.adapt(l.os.now() - until)
	}
	return n, err
}

// riseFor is when to wake for the call that is due next.
func (l *loop) riseFor(due, now time.Duration) time.Duration {
	if l.gap < dense {
		return max(due, l.rose+quantum)
	}
	return due - l.margin.grant(now, due-now)
}

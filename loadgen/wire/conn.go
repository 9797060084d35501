package wire

import (
	"time"

	"github.com/ordbench/ordbench/loadgen"
)

// conn is a connection of a loop and the call on it. Its memory is used again
// for each call.
type conn struct {
	token   int32
	state   state
	fd      int  // -1: not connected
	fresh   bool // connected for this very call
	slot    int  // among the idle
	route   int  // address to which it connects
	tried   int  // addresses that failed for this call
	written int  // bytes of out

	call     loadgen.Call
	reply    loadgen.Reply
	header   loadgen.Header
	out      []byte // the request
	unfit    error  // why there is no request
	in       scanner
	ready    time.Duration // when it came free
	deadline time.Duration // for the answer

	before, after *conn // in flight
}

// state is what a connection does.
type state uint8

const (
	free       state = iota
	holding          // the next call, until it is due
	connecting       //
	sending          // what the socket did not take at once
	receiving        //
)

// flights are the connections with a call in flight, in the order in which
// their time is up: that in which they started, as all have as long.
type flights struct{ first, last *conn }

func (f *flights) push(c *conn) {
	c.before, c.after = f.last, nil
	if f.last == nil {
		f.first = c
	} else {
		f.last.after = c
	}
	f.last = c
}

func (f *flights) remove(c *conn) {
	if c.before == nil {
		f.first = c.after
	} else {
		c.before.after = c.after
	}
	if c.after == nil {
		f.last = c.before
	} else {
		c.after.before = c.before
	}
	c.before, c.after = nil, nil
}

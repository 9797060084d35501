package loadgen

import "time"

// Closed is not a law of arrivals but the want of one: so many users, each of
// whom waits for the answer, thinks, and goes on. A slow target is asked less
// often, and so looks better than it is; use it where that is the question.
//
// All phases of a plan are closed, with the same users, or none is. The engine
// must have a connection for each user and no more: so whenever it asks for a
// call, some user is not waiting.
type Closed struct {
	Users int
	Think time.Duration // from an answer to the next attempt
}

// Expected is unknown: it is up to the target. It is 0 here.
func (Closed) Expected(time.Duration) float64 { return 0 }

// Arrivals are the first of each user, spread over one time of thinking.
func (c Closed) Arrivals(_ uint64, length time.Duration) Arrivals {
	n := 0
	return func() (time.Duration, bool) {
		if n >= c.Users {
			return 0, false
		}
		at := c.Think * time.Duration(n) / time.Duration(c.Users)
		n++
		return at, at < length
	}
}

// crowd is the users of a closed plan. As all think for as long, whoever was
// answered first is due first.
type crowd struct {
	plan  Plan
	users int
	phase int
	start time.Duration // of the phase

	fresh int             // users that have not begun
	free  []time.Duration // when the others were answered, in order
	head  int
}

// newCrowd is nil where the plan is not closed.
func newCrowd(p Plan) *crowd {
	if p.Users() == 0 {
		return nil
	}
	return &crowd{plan: p, users: p.Users()}
}

// next is the phase and due time of the user who is due first.
func (c *crowd) next() (phase int, due time.Duration, ok bool) {
	for c.phase < len(c.plan.Phases) {
		p := c.plan.Phases[c.phase]
		think := p.Law.(Closed).Think
		switch {
		case c.fresh < c.users:
			due = think * time.Duration(c.fresh) / time.Duration(c.users)
		case c.head < len(c.free):
			due = max(c.free[c.head]+think, c.start)
		default:
			return 0, 0, false // more connections than users
		}
		if due < c.start+p.For {
			if c.fresh < c.users {
				c.fresh++
			} else {
				c.head++
			}
			return c.phase, due, true
		}
		c.start += p.For
		c.phase++
	}
	return 0, 0, false
}

// answered lets a user go on.
func (c *crowd) answered(at time.Duration) {
	if n := len(c.free); n > c.head {
		at = max(at, c.free[n-1]) // several threads tell
	}
	if c.head > c.users { // the memory of a day of answers is not kept
		c.free = append(c.free[:0], c.free[c.head:]...)
		c.head = 0
	}
	c.free = append(c.free, at)
}

package resilience

import (
	"errors"
	"fmt"
	"time"
)

// Limit lets each client make Requests requests per Per, all at once if it
// likes, and one more each time that Per/Requests has passed.
type Limit struct {
	Requests int           `json:"requests"` // 0: no limit
	Per      time.Duration `json:"per"`      // nanoseconds in JSON
}

// Validate names every impossible value.
func (l Limit) Validate() error {
	if l.Requests == 0 {
		return nil
	}
	var problems []error
	if l.Requests < 0 {
		problems = append(problems, fmt.Errorf("rate limit of %d requests: must not be negative", l.Requests))
	}
	if l.Per <= 0 {
		problems = append(problems, fmt.Errorf("rate limit per %s: must be more than 0", l.Per))
	} else if int64(l.Requests) > l.Per.Microseconds() {
		problems = append(problems, fmt.Errorf("rate limit of %d requests per %s: more than one per microsecond", l.Requests, l.Per))
	}
	return errors.Join(problems...)
}

// Decision is the answer to one request of one client.
type Decision struct {
	Allowed    bool
	Remaining  int           // requests that would be allowed right now
	ResetAfter time.Duration // until all of them would be
	RetryAfter time.Duration // until the next is allowed; 0 if this one was
	Local      bool          // decided without the cache
}

// gcra is the generic cell rate algorithm in whole microseconds. What is kept
// of a client is one number: the theoretical arrival time (tat) at which it
// will have paid for all that it was allowed.
type gcra struct {
	cost  int64 // µs that one request costs
	burst int64 // µs that may be owed: cost * requests
}

// newGCRA rounds the cost up, so that the rate is never above the limit, and
// makes the burst a multiple of it, so that exactly Requests fit.
func newGCRA(l Limit) gcra {
	n := int64(l.Requests)
	cost := (l.Per.Microseconds() + n - 1) / n
	return gcra{cost: cost, burst: cost * n}
}

// admit decides at now with the tat of the client; the new tat is to be kept
// if the request is allowed.
func (g gcra) admit(tat, now int64) (next int64, allowed bool) {
	// A tat further ahead than any burst comes from a clock that was
	// set back. It is void: else it would lock the client out.
	if tat < now || tat > now+g.burst {
		tat = now
	}
	next = tat + g.cost
	return next, next-now <= g.burst
}

// decision words the outcome: owed is how far the kept tat is ahead of now.
func (g gcra) decision(allowed bool, owed int64) Decision {
	d := Decision{
		Allowed:    allowed,
		Remaining:  int(max(0, g.burst-owed) / g.cost),
		ResetAfter: time.Duration(owed) * time.Microsecond,
	}
	if !allowed {
		d.RetryAfter = time.Duration(max(1, owed+g.cost-g.burst)) * time.Microsecond
	}
	return d
}

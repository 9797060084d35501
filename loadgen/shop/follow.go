package shop

import (
	"bytes"
	"encoding/json"
	"net/http"
	"time"

	"github.com/ordbench/ordbench/loadgen"
)

const (
	// firstPoll is when a customer looks after an order for the first time.
	firstPoll = 20 * time.Millisecond
	// lastPoll is the longest pause between two looks.
	lastPoll = time.Second
	// patience is when a customer who follows an order gives up.
	patience = 30 * time.Second
)

// Follow goes on with an order until it has come to its end. The pause grows
// with the time that has passed, by a quarter of it, so that an order that
// takes long is not what the system is busy with.
func (s *Shop) Follow(c *loadgen.Call, r *loadgen.Reply, v loadgen.Verdict) (loadgen.Verdict, time.Duration, bool) {
	if c.Op != FollowOrder {
		return v, 0, false
	}
	since := r.Done - c.Planned
	switch {
	case c.Step == Place && v.Outcome == loadgen.OK:
		poll(c, v.OrderID)
		return v, firstPoll, true
	case c.Step == Place:
		return v, 0, false
	case v.Outcome == loadgen.OK && ended(r.Body):
		return v, 0, false
	case v.Outcome == loadgen.OK, r.Status == http.StatusTooManyRequests: // asked too often is no answer
	default:
		return v, 0, false
	}
	if since >= patience {
		v = loadgen.TimedOut.Verdict()
		v.Reason = "not-ended"
		return v, 0, false
	}
	return v, min(max(firstPoll, since/4), lastPoll), true
}

// poll makes an order that was placed the question what became of it, by the
// same customer.
func poll(c *loadgen.Call, id string) {
	c.Step, c.Method = Poll, http.MethodGet
	c.Path = append(append(c.Path[:0], "/orders/"...), id...)
	c.Body, c.Key = c.Body[:0], c.Key[:0]
	n := 0
	for i := range c.Header {
		switch c.Header[i].Name {
		case "Content-Type", "Idempotency-Key":
			continue
		}
		// The memory behind what is left is kept, so they change places.
		c.Header[n], c.Header[i] = c.Header[i], c.Header[n]
		n++
	}
	c.Header = c.Header[:n]
}

// ended says that an order will not change any more. A status that nobody
// here knows is none of those.
func ended(body []byte) bool {
	switch string(statusOf(body)) {
	case "CONFIRMED", "REJECTED", "CANCELLED":
		return true
	}
	return false
}

// statusOf is the status in an answer: read by hand where it is written the
// plain way, because this is asked many times for each order.
func statusOf(body []byte) []byte {
	const key = `"status":"`
	if i := bytes.Index(body, []byte(key)); i >= 0 && bytes.Count(body, []byte(key)) == 1 {
		rest := body[i+len(key):]
		if end := bytes.IndexByte(rest, '"'); end >= 0 && bytes.IndexByte(rest[:end], '\\') < 0 && json.Valid(body) {
			return rest[:end]
		}
	}
	var answer struct {
		Status string `json:"status"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return nil
	}
	return []byte(answer.Status)
}

package shop

import (
	"fmt"
	"strconv"
	"time"

	"github.com/ordbench/ordbench/loadgen"
)

// Retry is how customers ask again who do not know what became of an order:
// the answer did not come, or says that nobody knows. They send the same
// request under the same key, so that it is one attempt and makes one order.
type Retry struct {
	Tries int           // in all; 0 and 1: never again
	After time.Duration // from the end of a try to the next
}

func (r Retry) validate() error {
	if r.Tries < 0 || r.After < 0 {
		return fmt.Errorf("shop: %d tries with %s between them: neither may be negative", r.Tries, r.After)
	}
	return nil
}

// longestWait bounds what is believed of a Retry-After.
const longestWait = 10 * time.Second

// Repeat sends an order again whose outcome is unknown.
func (s *Shop) Repeat(c *loadgen.Call, r *loadgen.Reply, v loadgen.Verdict, tries int) (time.Duration, bool) {
	// What refuses the second try says nothing of the first.
	unknown := v.Certainty == loadgen.Unknown || tries > 1 && v.Certainty == loadgen.Refuted
	if tries >= s.retry.Tries || !unknown || len(c.Key) == 0 {
		return 0, false
	}
	pause := s.retry.After
	if r.Failure == loadgen.None && r.Header != nil {
		if wait, err := strconv.Atoi(r.Header("Retry-After")); err == nil && wait > 0 {
			pause = max(pause, min(time.Duration(wait)*time.Second, longestWait))
		}
	}
	return pause, true
}

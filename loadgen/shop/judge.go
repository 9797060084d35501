package shop

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/ordbench/ordbench/loadgen"
)

// Judge says what an answer means. Certain is only what the system has said:
// 2xx happened; a refusal before any work did not; all else may have.
func (s *Shop) Judge(c *loadgen.Call, r *loadgen.Reply) loadgen.Verdict {
	if r.Failure != loadgen.None {
		return r.Failure.Verdict()
	}
	if by := r.Header("X-Refused-By"); by != "" {
		// A breaker, a limiter or a gateway that reached nobody.
		if !isToken(by) {
			by = strconv.Itoa(r.Status)
		}
		return loadgen.Verdict{Outcome: loadgen.Rejected, Certainty: loadgen.Refuted, Reason: by}
	}
	v := loadgen.Verdict{Outcome: loadgen.Error, Certainty: loadgen.Unknown, Reason: strconv.Itoa(r.Status)}
	switch r.Status {
	case http.StatusConflict:
		// The first request under the key is in flight, and may succeed.
		if c.Op == PlaceOrder || c.Step == Place {
			v.Outcome, v.Reason = loadgen.Rejected, "in-flight"
			return v
		}
		v.Outcome, v.Certainty, v.Reason = loadgen.Rejected, loadgen.Refuted, "too-late" // to cancel
		return v
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound,
		http.StatusUnprocessableEntity, http.StatusTooManyRequests:
		v.Outcome, v.Certainty = loadgen.Rejected, loadgen.Refuted
		return v
	}
	switch r.Status / 100 {
	case 2:
		return s.accept(c, r)
	case 4:
		v.Outcome = loadgen.Rejected
	}
	return v
}

// accept reads a 2xx. An accepted order without an id is acknowledged all the
// same, but of no use to the customer.
func (s *Shop) accept(c *loadgen.Call, r *loadgen.Reply) loadgen.Verdict {
	ok := loadgen.Verdict{Outcome: loadgen.OK, Certainty: loadgen.Happened}
	if c.Op != PlaceOrder && c.Step != Place { // of a read or a cancellation nothing more is to be known
		return ok
	}
	id, found := orderID(r.Body)
	if !found {
		return loadgen.Verdict{Outcome: loadgen.Error, Certainty: loadgen.Happened, Reason: "bad-answer"}
	}
	ok.OrderID = id
	for _, f := range c.Header {
		if f.Name != forwardedFor {
			continue
		}
		if customer, known := customerAt(f.Value); known {
			s.recent.add(accepted{id: id, customer: customer})
		}
	}
	return ok
}

// orderID is the id in the body of an answer. It must be fit for a path and
// for the ledger.
func orderID(body []byte) (string, bool) {
	var answer struct {
		OrderID string `json:"order_id"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return "", false
	}
	return answer.OrderID, isToken(answer.OrderID)
}

// isToken says that s is 1 to 64 letters, digits, - or _.
func isToken(s string) bool {
	for i := range len(s) {
		switch b := s[i]; {
		case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9', b == '-', b == '_':
		default:
			return false
		}
	}
	return 0 < len(s) && len(s) <= 64
}

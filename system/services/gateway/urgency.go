package gateway

import (
	"net/http"
	"strings"

	"github.com/ordbench/ordbench/system/pki"
	"github.com/ordbench/ordbench/system/resilience"
)

// urgency says how long a request is kept when not all can be: orders before
// reads, because a read can be made again. Whoever sends one may lower it,
// with "Priority: u=4" or more (RFC 9218) or a token for work that can wait;
// nobody may raise it.
func urgency(r *http.Request, caller pki.Caller) resilience.Priority {
	if caller.Batch || modest(r.Header["Priority"]) {
		return resilience.Low
	}
	if r.Method == http.MethodPost {
		return resilience.High
	}
	return resilience.Middle
}

// modest reads the urgency of a Priority field: 3 is usual, more can wait.
func modest(field []string) bool {
	for _, line := range field {
		for item := range strings.SplitSeq(line, ",") {
			if u, ok := strings.CutPrefix(strings.TrimSpace(item), "u="); ok && len(u) == 1 && "4" <= u && u <= "7" {
				return true
			}
		}
	}
	return false
}

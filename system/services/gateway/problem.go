package gateway

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// refusedBy marks an answer whose request was certainly not processed.
const refusedBy = "X-Refused-By"

// The values of refusedBy.
const (
	byRateLimit   = "rate-limit"
	byBreaker     = "breaker"
	byUnreachable = "unreachable"
)

// problem is an error answer after RFC 9457. Type is a name within this
// system, so that programs need not read Detail.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
}

func newProblem(status int, name, detail string) problem {
	return problem{Type: "urn:ordbench:problem:" + name, Title: http.StatusText(status), Status: status, Detail: detail}
}

func (p problem) write(w http.ResponseWriter) {
	body, err := json.Marshal(p)
	if err != nil { // strings and an int: cannot happen
		panic(err)
	}
	h := w.Header()
	h["Content-Type"] = []string{"application/problem+json"}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	h["Cache-Control"] = []string{"no-store"}
	w.WriteHeader(p.Status)
	_, _ = w.Write(body) // a client that went away needs no answer
}

// seconds rounds up, at least to 1: a client that comes back too early is
// only refused again.
func seconds(d time.Duration) string {
	return strconv.FormatInt(max(1, int64((d+time.Second-1)/time.Second)), 10)
}

// Package static is the workload of one request, sent again and again. Fill a
// Request and give it to loadgen.New.
//
// The invariant: what an answer means rests on its status alone, and whatever
// is not expected is an error.
package static

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/ordbench/ordbench/loadgen"
)

// Op is the one operation.
const Op loadgen.Op = "request"

// Request is what is sent.
type Request struct {
	Method string
	Path   string // with the query
	Header []Field
	Body   []byte
	Expect Statuses
}

// Field is one header line.
type Field struct{ Name, Value string }

// Next fills in the request.
func (r *Request) Next(c *loadgen.Call) {
	c.Op, c.Method = Op, r.Method
	c.Path = append(c.Path, r.Path...)
	for _, h := range r.Header {
		f := c.AddHeader(h.Name)
		f.Value = append(f.Value, h.Value...)
	}
	c.Body = append(c.Body, r.Body...)
}

// Judge says whether the status is one that is expected. Every other counts
// as an error, but for 429, with which a target says no on purpose.
func (r *Request) Judge(_ *loadgen.Call, reply *loadgen.Reply) loadgen.Verdict {
	switch {
	case reply.Failure != loadgen.None:
		return reply.Failure.Verdict()
	case r.Expect.Has(reply.Status):
		return loadgen.Verdict{Outcome: loadgen.OK, Certainty: loadgen.Happened}
	case reply.Status == http.StatusTooManyRequests:
		return loadgen.Verdict{Outcome: loadgen.Rejected, Certainty: loadgen.Refuted, Reason: "429"}
	}
	return loadgen.Verdict{Outcome: loadgen.Error, Certainty: loadgen.Unknown, Reason: strconv.Itoa(reply.Status)}
}

// Statuses are those that are expected: of three digits, or of one for a whole
// class. None is every 2xx.
type Statuses []int

// Has says that a status is expected.
func (s Statuses) Has(status int) bool {
	if len(s) == 0 {
		return status/100 == 2
	}
	return slices.Contains(s, status) || slices.Contains(s, status/100)
}

// ParseStatuses reads a list such as "200,404" or "2xx,3xx".
func ParseStatuses(list string) (Statuses, error) {
	var all Statuses
	for word := range strings.SplitSeq(list, ",") {
		word = strings.ToLower(strings.TrimSpace(word))
		digits, class := strings.CutSuffix(word, "xx")
		n, err := strconv.Atoi(digits)
		switch {
		case err != nil,
			class && (n < 1 || n > 5),
			!class && (n < 100 || n > 599):
			return nil, fmt.Errorf("%q is no status; write 200, 2xx or a list of them", word)
		}
		all = append(all, n)
	}
	return all, nil
}

// ParseField reads a header line such as "Accept: text/html".
func ParseField(line string) (Field, error) {
	name, value, ok := strings.Cut(line, ":")
	name, value = strings.TrimSpace(name), strings.TrimSpace(value)
	f := Field{http.CanonicalHeaderKey(name), value}
	switch {
	case !ok || name == "" || strings.ContainsAny(name, " \t\r\n\"(),/:;<=>?@[\\]{}"):
		return f, fmt.Errorf("%q is no header; write 'Name: value'", line)
	case strings.ContainsAny(value, "\r\n\x00"):
		return f, fmt.Errorf("header %s: its value has more than one line", f.Name)
	}
	switch f.Name {
	case "Host", "Content-Length", "Transfer-Encoding", "Trailer", "Connection":
		return f, fmt.Errorf("header %s is made from the URL and the body", f.Name)
	}
	return f, nil
}

// Validate reports what no server could read.
func (r *Request) Validate() error {
	if r.Method == "" || strings.ContainsFunc(r.Method, func(c rune) bool { return c < 'A' || c > 'Z' }) {
		return fmt.Errorf("%q is no method; write GET, POST or another in capitals", r.Method)
	}
	if r.Method == http.MethodConnect {
		return errors.New("CONNECT asks for a tunnel, not for an answer")
	}
	return nil
}

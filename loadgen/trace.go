package loadgen

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Trace is arrivals as they were once recorded, in order, each from the start
// of the phase.
type Trace []time.Duration

// Expected is the number of arrivals before t: a trace leaves nothing to chance.
func (tr Trace) Expected(t time.Duration) float64 {
	n, _ := slices.BinarySearch(tr, t)
	return float64(n)
}

// Arrivals are those of the trace.
func (tr Trace) Arrivals(_ uint64, length time.Duration) Arrivals {
	n := 0
	return func() (time.Duration, bool) {
		if n >= len(tr) || tr[n] >= length {
			return 0, false
		}
		n++
		return tr[n-1], true
	}
}

const (
	maxTrace     = 10_000_000 // arrivals, 80 MB
	maxTraceLine = 4096       // bytes
	maxTraceTime = 24 * time.Hour
)

// ReadTrace reads a trace: one arrival a line, as seconds ("1.25") or with a
// unit ("1250ms"), in order. What follows a comma belongs to others, so the
// first column of a CSV file is a trace; empty lines and those that begin
// with # are passed over, as is a first line without any digit.
func ReadTrace(in io.Reader) (Trace, error) {
	s := bufio.NewScanner(in)
	s.Buffer(nil, maxTraceLine)
	var (
		tr Trace
		n  int
	)
	for s.Scan() {
		n++
		text, _, _ := strings.Cut(s.Text(), ",")
		text = strings.TrimSpace(text)
		if text == "" || text[0] == '#' || n == 1 && !strings.ContainsAny(text, "0123456789") {
			continue
		}
		at, err := parseMoment(text)
		switch {
		case err != nil:
			return nil, fmt.Errorf("line %d: %w", n, err)
		case len(tr) > 0 && at < tr[len(tr)-1]:
			return nil, fmt.Errorf("line %d: %v is before the arrival of the line above, %v", n, at, tr[len(tr)-1])
		case len(tr) == maxTrace:
			return nil, fmt.Errorf("line %d: more than %d arrivals", n, maxTrace)
		}
		tr = append(tr, at)
	}
	switch err := s.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return nil, fmt.Errorf("line %d: longer than %d bytes", n+1, maxTraceLine)
	case err != nil:
		return nil, err
	case len(tr) == 0:
		return nil, errors.New("no arrivals")
	}
	return tr, nil
}

func parseMoment(text string) (time.Duration, error) {
	at, err := time.ParseDuration(text)
	if err != nil {
		var s float64
		if s, err = strconv.ParseFloat(text, 64); err == nil {
			at = seconds(s)
		}
	}
	switch {
	case err != nil || strings.ContainsAny(text, "xXpP_"):
		return 0, fmt.Errorf("%.40q is not a time such as 1.25 or 1250ms", text)
	case at < 0:
		return 0, fmt.Errorf("%s is before the start", text)
	case at > maxTraceTime:
		return 0, fmt.Errorf("%s is after the longest phase, %v", text, maxTraceTime)
	}
	return at, nil
}

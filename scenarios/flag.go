package scenarios

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ordbench/ordbench/loadgen"
)

// LawFlags is an arrival law as one types it on a command line, in the words
// of a scenario.
type LawFlags struct {
	Rate     string   // "500/s", or "100/s..1000/s"
	Steps    []string // rates of equal parts, in place of one
	Arrivals string   // "constant", "poisson" or "closed"
	Trace    string   // a file
	Users    int
	Think    time.Duration
}

// Phase makes the phase of that law and length, or says everything that is
// wrong with it.
func (f LawFlags) Phase(length time.Duration) (Phase, error) {
	p := Phase{Name: "load", For: length, Arrivals: f.Arrivals, Users: f.Users, Think: f.Think, Record: true}
	var errs []error
	complain := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	check := func(flag string, w *wrong) {
		switch {
		case w == nil:
		case w.hint != "":
			complain("%s: %s; %s", flag, w.message, w.hint)
		default:
			complain("%s: %s", flag, w.message)
		}
	}
	given := 0
	if f.Rate != "" {
		given++
		check("--rate", rateOf(&p).set(f.Rate))
		if len(errs) == 0 && p.Rate == 0 && p.RateTo == 0 {
			complain("--rate: %s is no load", f.Rate)
		}
	}
	if len(f.Steps) > 0 {
		given++
		highest := 0.0
		for _, text := range f.Steps {
			var r float64
			check("--steps", rate(&r).set(text))
			p.Steps = append(p.Steps, r)
			highest = max(highest, r)
		}
		if len(errs) == 0 && highest == 0 {
			complain("--steps: %s is no load", strings.Join(f.Steps, ","))
		}
	}
	check("--arrivals", arrivals(&p.Arrivals).set(f.Arrivals))
	if f.Trace != "" {
		given++
		t, err := openTrace(f.Trace)
		if err != nil {
			complain("--trace: %w", err)
		}
		p.Trace = &t
		if p.Arrivals == ArrivalsPoisson {
			complain("--arrivals: a trace says itself when attempts arrive")
		}
	}
	closed := p.Arrivals == ArrivalsClosed
	switch {
	case f.Users < 0:
		complain("--users: %d, want at least 1", f.Users)
	case f.Users > 0:
		given++
		if !closed {
			complain("--users: users wait for their answers, which is a closed loop and must be called so; write --arrivals closed too")
		}
	case closed:
		complain("--arrivals closed: a closed loop has users, not a rate; write --users 10")
		given = 1
	}
	if f.Think != 0 && f.Users == 0 || f.Think < 0 {
		complain("--think: only the users of a closed loop think")
	}
	switch {
	case given == 0:
		complain("how much? write --rate 500/s")
	case given > 1:
		complain("--rate, --steps, --trace and --users exclude each other")
	}
	if length <= 0 || length > longest {
		complain("--duration: %v, want more than 0 and at most %s", length, short(longest))
	}
	return p, errors.Join(errs...)
}

// openTrace reads a file of arrivals.
func openTrace(path string) (Trace, error) {
	t := Trace{File: path}
	if abs, err := filepath.Abs(path); err == nil {
		t.File = abs
	}
	in, err := os.Open(path)
	if err != nil {
		return t, err
	}
	defer in.Close()
	if t.Arrivals, err = loadgen.ReadTrace(in); err != nil {
		return t, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

// Describe is the law of the phase for people: "100/s..1000/s, poisson".
func (p Phase) Describe() string { return p.describe() }

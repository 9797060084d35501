package failpoint

import (
	"errors"
	"fmt"
	"time"
)

// The actions of a plan.
const (
	Crash = "crash" // the process kills itself with SIGKILL
	Pause = "pause" // whoever passes waits
	Error = "error" // whoever passes gets ErrInjected
)

// Actions lists them.
func Actions() []string { return []string{Crash, Pause, Error} }

// Plan says what a point does to whom.
type Plan struct {
	Action      string        `json:"action"`
	For         time.Duration `json:"for,omitempty"`         // nanoseconds of a pause
	After       uint64        `json:"after,omitempty"`       // hits that pass unharmed first
	Times       int           `json:"times,omitempty"`       // how often it strikes; 0: always
	Probability float64       `json:"probability,omitempty"` // of each hit; 0: certainly
}

// longestPause bounds a pause: a forgotten one must not be for ever.
const longestPause = time.Hour

// Validate returns every problem of p, joined.
func (p Plan) Validate() error {
	var problems []error
	need := func(ok bool, format string, args ...any) {
		if !ok {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	switch p.Action {
	case Crash, Error:
		need(p.For == 0, "for is only of a pause")
	case Pause:
		need(p.For > 0 && p.For <= longestPause, "for must be more than 0 and at most %s, not %s", longestPause, p.For)
	default:
		need(false, "action %q is unknown: crash, pause or error", p.Action)
	}
	need(p.Times >= 0, "times is negative: %d", p.Times)
	need(p.Probability >= 0 && p.Probability <= 1, "probability must be 0 to 1, not %g", p.Probability)
	return errors.Join(problems...)
}

package chaos

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
)

// UsageError says that a Spec asks for what can't be done. Nothing was
// injected.
type UsageError struct {
	Field   string `json:"field"` // key of the scenario: "fault", "target", or the name of an option
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`

	elsewhere bool // it can be made on another runtime
}

func (e *UsageError) Error() string {
	if e.Hint == "" {
		return e.Message
	}
	return e.Message + " (" + e.Hint + ")"
}

// Validate reports every problem of a Spec that can be seen without a
// running system.
func (s Spec) Validate() []*UsageError {
	var problems []*UsageError
	complain := func(field, hint, format string, args ...any) {
		problems = append(problems, &UsageError{Field: field, Message: fmt.Sprintf(format, args...), Hint: hint})
	}
	d, known := Find(s.Fault)
	if !known {
		names := []string{}
		for _, d := range definitions() {
			names = append(names, d.Name)
		}
		complain("fault", suggest(s.Fault, names), "unknown fault %q", s.Fault)
	}
	if p := s.checkTarget(d); p != nil {
		problems = append(problems, p)
	}
	if !known {
		return problems
	}
	for _, name := range slices.Sorted(maps.Keys(s.Options)) {
		o, takes := d.option(name)
		if !takes {
			complain(name, s.Fault+" takes "+d.optionNames(), "%s has no %s", s.Fault, name)
			continue
		}
		if err := o.Check(s.Options[name]); err != nil {
			complain(name, "", "%s: %v", name, err)
		}
	}
	for _, o := range d.Options {
		if _, given := s.Options[o.Name]; !given && o.Default == "" {
			complain(o.Name, o.Summary, "%s needs %s", s.Fault, o.Name)
		}
	}
	if _, replica := s.component(); replica {
		if n, given := s.Options["replicas"]; given && n != "0" && n != "1" && n != "all" && len(problems) == 0 {
			complain("replicas", "target the component to take several", "replicas: %s is one replica", s.Target)
		}
	}
	if d.check != nil && len(problems) == 0 {
		if p := d.check(s); p != nil {
			problems = append(problems, p)
		}
	}
	return problems
}

func (s Spec) checkTarget(d Definition) *UsageError {
	switch d.on {
	case onLink:
		if !slices.Contains(links, s.Target) {
			return &UsageError{Field: "target", Message: fmt.Sprintf("unknown link %q", s.Target), Hint: suggest(s.Target, links)}
		}
	case onPartition:
		if _, err := parsePartition(s.Target); err != nil {
			return err
		}
	default:
		component, _ := s.component()
		if component == "" {
			return &UsageError{Field: "target", Message: fmt.Sprintf("unknown target %q", s.Target), Hint: suggest(s.Target, processes)}
		}
		if d.Name != "" && !slices.Contains(d.Targets, component) {
			return &UsageError{Field: "target", Message: fmt.Sprintf("%s does not work on %s", d.Name, component), Hint: "it works on " + strings.Join(d.Targets, ", ")}
		}
	}
	return nil
}

// suggest names the nearest of the known names, or lists them all where none
// is near.
func suggest(name string, known []string) string {
	best, distance := "", len(name)/2+1
	for _, k := range known {
		if d := levenshtein.ComputeDistance(name, k); d < distance {
			best, distance = k, d
		}
	}
	if best == "" {
		return "known: " + strings.Join(known, ", ")
	}
	return fmt.Sprintf("did you mean %q?", best)
}

// positive asks for more than nothing of a duration.
func (s Spec) positive(option string) *UsageError {
	if s.duration(option) > 0 {
		return nil
	}
	return &UsageError{Field: option, Message: fmt.Sprintf("%s: %s of 0s does nothing", option, s.Fault)}
}

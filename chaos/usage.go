package chaos

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/agnivade/levenshtein"
)

// UsageError says that a Spec asks for what can't be done. Nothing was
// injected.
type UsageError struct {
	Field   string `json:"field"` // key of the scenario: "fault", "target", "replicas", "restart_after", "for"
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
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
	kind, known := Find(s.Fault)
	if !known {
		names := make([]string, 0, 4)
		for _, d := range Catalogue() {
			names = append(names, d.Name)
		}
		complain("fault", suggest(s.Fault, names), "unknown fault %q", s.Fault)
	}
	component, replica := s.component()
	if component == "" {
		complain("target", suggest(s.Target, components), "unknown target %q", s.Target)
	}
	switch {
	case s.Replicas < 0:
		complain("replicas", "0 takes all that run", "replicas: %d is negative", s.Replicas)
	case replica && s.Replicas > 1:
		complain("replicas", "target "+component+" to take several", "replicas: %s is one replica", s.Target)
	}
	durations := []struct {
		field string
		set   bool
		minus bool
	}{
		{"restart_after", s.RestartAfter != 0, s.RestartAfter < 0},
		{"for", s.For != 0, s.For < 0},
	}
	for _, d := range durations {
		switch {
		case d.set && known && !kind.takes(d.field):
			complain(d.field, s.Fault+" takes "+strings.Join(kind.optionNames(), ", "), "%s has no %s", s.Fault, d.field)
		case d.minus:
			complain(d.field, "", "%s is negative", d.field)
		}
	}
	return problems
}

// component splits the target: "inventory-3" is a replica of "inventory".
// It returns "" where the target is neither a component nor a replica.
func (s Spec) component() (name string, replica bool) {
	for _, c := range components {
		if s.Target == c {
			return c, false
		}
		if number, ok := strings.CutPrefix(s.Target, c+"-"); ok {
			if n, err := strconv.Atoi(number); err == nil && n >= 0 {
				return c, true
			}
		}
	}
	return "", false
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

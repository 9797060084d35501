package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ordbench/ordbench/reports"
)

// law is one invariant while it is judged.
type law struct {
	id    string
	held  string // what is said when nothing speaks against it
	doubt string // why it can't be held even so; "" if it can

	max          int
	broken, open []finding
	evidence     []string // of what is broken
	waiting      []string // of what is open
}

// finding is one way in which a law fared badly, and how often.
type finding struct {
	what string
	n    uint64
}

// breaks records a case against the law.
func (l *law) breaks(what, evidence string) { l.note(&l.broken, &l.evidence, what, evidence) }

// waits records a case that further reading or more time may explain.
func (l *law) waits(what, evidence string) { l.note(&l.open, &l.waiting, what, evidence) }

// misses records that something was not found. It breaks the law only if
// everything was there to be found.
func (l *law) misses(whole bool, what, evidence string) {
	if whole {
		l.breaks(what, evidence)
	} else {
		l.waits(what, evidence)
	}
}

func (l *law) note(to *[]finding, ids *[]string, what, evidence string) {
	i := slices.IndexFunc(*to, func(f finding) bool { return f.what == what })
	if i < 0 {
		*to = append(*to, finding{what: what})
		i = len(*to) - 1
	}
	(*to)[i].n++
	if evidence != "" && len(*ids) < l.max && (len(*ids) == 0 || (*ids)[len(*ids)-1] != evidence) {
		*ids = append(*ids, evidence)
	}
}

// verdict says how the law fared: what is broken stays broken, whatever
// else could not be read.
func (l *law) verdict() reports.Invariant {
	inv := reports.Invariant{ID: l.id, Evidence: []string{}}
	switch {
	case len(l.broken) > 0:
		inv.Outcome, inv.Detail, inv.Evidence = reports.Broken, list(l.broken), l.evidence
	case len(l.open) > 0:
		inv.Outcome, inv.Detail, inv.Evidence = reports.Unknown, list(l.open), l.waiting
	case l.doubt != "":
		inv.Outcome, inv.Detail = reports.Unknown, l.doubt
	default:
		inv.Outcome, inv.Detail = reports.Held, l.held
	}
	if inv.Evidence == nil {
		inv.Evidence = []string{}
	}
	return inv
}

func list(findings []finding) string {
	parts := make([]string, len(findings))
	for i, f := range findings {
		parts[i] = fmt.Sprintf("%d %s", f.n, f.what)
	}
	return strings.Join(parts, ", ")
}

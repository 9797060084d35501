package scenarios

import (
	"fmt"
	"strings"

	"github.com/agnivade/levenshtein"
)

// nearest returns the known name that the given one was probably meant to
// be, "" if none is close. Close is at most a third of the longer name in
// edits, or two, and less than half of it.
func nearest(name string, known []string) string {
	best, bestEdits := "", -1
	for _, k := range known {
		edits := levenshtein.ComputeDistance(strings.ToLower(name), strings.ToLower(k))
		longer := max(len([]rune(name)), len([]rune(k)))
		if edits > max(2, longer/3) || 2*edits >= longer {
			continue
		}
		if bestEdits < 0 || edits < bestEdits {
			best, bestEdits = k, edits
		}
	}
	return best
}

// suggest is the hint for an unknown name: the nearest known one, or all of
// them where they are few.
func suggest(name string, known []string) string {
	if near := nearest(name, known); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	if len(known) == 0 || len(known) > 16 {
		return ""
	}
	return "known: " + strings.Join(known, ", ")
}

package scenarios

import (
	"fmt"
	"strings"
)

// nearest returns the known name that the given one was probably meant to
// be, "" if none is close. Close is at most a third of the longer name in
// edits, and never everything.
func nearest(name string, known []string) string {
	best, bestEdits := "", -1
	for _, k := range known {
		edits := distance(strings.ToLower(name), strings.ToLower(k))
		longer := max(len([]rune(name)), len([]rune(k)))
		if edits > max(1, longer/3) || edits >= longer {
			continue
		}
		if bestEdits < 0 || edits < bestEdits {
			best, bestEdits = k, edits
		}
	}
	return best
}

// distance is the Levenshtein distance with transpositions of neighbours:
// the edits that turn a into b.
func distance(a, b string) int {
	s, t := []rune(a), []rune(b)
	// A long wrong name is near to nothing; do not spend time on it.
	if len(s) > 64 || len(t) > 64 {
		return max(len(s), len(t))
	}
	before, last, row := make([]int, len(t)+1), make([]int, len(t)+1), make([]int, len(t)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(s); i++ {
		row[0] = i
		for j := 1; j <= len(t); j++ {
			substitute := last[j-1]
			if s[i-1] != t[j-1] {
				substitute++
			}
			row[j] = min(substitute, last[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && s[i-1] == t[j-2] && s[i-2] == t[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(t)]
}

// suggest is the hint for an unknown name: the nearest known one, or all of
// them where they are few.
func suggest(name string, known []string) string {
	if near := nearest(name, known); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	if len(known) == 0 || len(known) > 12 {
		return ""
	}
	return "known: " + strings.Join(known, ", ")
}

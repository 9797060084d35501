package scenarios

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// Problem is one mistake in a scenario and where it stands. Line and Column
// count from 1, columns in characters.
type Problem struct {
	File    string `json:"file"` // a path, or "--set" for an override
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`   // what to write instead
	Source  string `json:"source,omitempty"` // the line that the column points into
}

// Error is the printed form: position and message, the line with a caret
// under the column, and the hint.
func (p Problem) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d:%d: %s\n", p.File, p.Line, p.Column, printable(p.Message))
	number := fmt.Sprintf("%4d", p.Line)
	text, column := window(p.Source, p.Column)
	fmt.Fprintf(&b, "%s | %s\n", number, text)
	fmt.Fprintf(&b, "%s | %s^", strings.Repeat(" ", len(number)), indentOf(text, column))
	if p.Hint != "" {
		fmt.Fprintf(&b, "\n%s   %s", strings.Repeat(" ", len(number)), printable(p.Hint))
	}
	return b.String()
}

// Problems is every mistake of a scenario, in the order of the text. It is
// the error that Load and Parse return for a scenario that can't be played.
type Problems []Problem

// Error prints every problem and, if there are several, how many.
func (ps Problems) Error() string {
	var b strings.Builder
	for i, p := range ps {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(p.Error())
	}
	if len(ps) > 1 {
		fmt.Fprintf(&b, "\n%d problems", len(ps))
	}
	return b.String()
}

// sort puts the problems of the file first, in the order of its lines, then
// those of the overrides.
func (ps Problems) sort() {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		if a.File != b.File {
			return cmp.Compare(overrideRank(a.File), overrideRank(b.File))
		}
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

func overrideRank(file string) int {
	if file == overrideFile {
		return 1
	}
	return 0
}

// widest is how much of a long source line is shown, in characters.
const widest = 120

// window cuts a long line down to the part around the column, and makes it
// safe for a terminal. It returns the text and the column within it.
func window(line string, column int) (string, int) {
	runes := []rune(printable(line))
	column = max(1, min(column, len(runes)+1))
	if len(runes) <= widest {
		return string(runes), column
	}
	from := max(0, column-1-widest/2)
	to := min(len(runes), from+widest)
	text := string(runes[from:to])
	column -= from
	if to < len(runes) {
		text += "…"
	}
	if from > 0 {
		text = "…" + text
		column++
	}
	return text, column
}

// indentOf is the space before the caret. Tabs stay tabs, so that the caret
// stands under its character however wide the terminal makes them.
func indentOf(text string, column int) string {
	var b strings.Builder
	for i, r := range []rune(text) {
		if i >= column-1 {
			break
		}
		if r != '\t' {
			r = ' '
		}
		b.WriteRune(r)
	}
	return b.String()
}

// printable replaces what could move the cursor or colour the terminal: a
// scenario may come from a stranger.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

package reports

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
)

// TextOptions say what the terminal can show.
type TextOptions struct {
	Color bool
	Width int    // columns, at least 60; 0 is 100
	Dir   string // where the artifacts are; "" leaves their names bare
}

// Text renders a result for a terminal: the verdict, its reason, the numbers
// behind it, warnings, files, and the command that repeats the run.
func Text(w io.Writer, r *Result, o TextOptions) error {
	p := &page{width: o.Width, color: o.Color}
	if p.width <= 0 {
		p.width = 100
	}
	p.width = max(p.width, 60)
	sections := []func(*page, *Result){
		verdict, ordersTable, invariantsTable, trafficTable, latencyTable, consumersTable,
		breakersTable, tracesTable, faultsTable, gatesTable, warnings,
	}
	if r.Run.Kind == LoadKind {
		sections = []func(*page, *Result){verdict, trafficTable, latencyTable, gatesTable, warnings}
	}
	for _, section := range sections {
		section(p, r)
	}
	files(p, r, o.Dir)
	_, err := io.WriteString(w, p.text.String())
	return err
}

// The colours of a page.
const (
	bold   = "\x1b[1m"
	dim    = "\x1b[2m"
	red    = "\x1b[31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	reset  = "\x1b[0m"
)

// page is the text as it grows.
type page struct {
	text  strings.Builder
	width int
	color bool
}

func (p *page) line(s string) { p.text.WriteString(strings.TrimRight(s, " ") + "\n") }

func (p *page) title(format string, args ...any) {
	p.line("")
	title := cut(clean(fmt.Sprintf(format, args...)), p.width)
	p.line(p.paint(title, bold))
}

// note writes a text below a table, in lines.
func (p *page) note(prefix, s, color string) {
	margin := strings.Repeat(" ", len([]rune(prefix)))
	for i, line := range wrap(clean(s), p.width-len(margin)) {
		if i > 0 {
			prefix = margin
		}
		p.line(prefix + p.paint(line, color))
	}
}

func (p *page) paint(s, color string) string {
	if !p.color || color == "" || s == "" {
		return s
	}
	return color + s + reset
}

func verdict(p *page, r *Result) {
	word, color := strings.ToUpper(string(r.Verdict.Outcome)), yellow
	switch r.Verdict.Outcome {
	case Pass:
		color = green
	case Fail, Integrity:
		color = red
	}
	if r.Run.Kind == LoadKind && r.Verdict.Outcome != Fail {
		// What a load has to say for itself is whether it can be believed.
		doubt := word
		word, color = validityWord(r.Validity)
		switch {
		case r.Verdict.Outcome != Inconclusive || r.Validity.Outcome == GeneratorLimited:
		case r.Run.Interrupted:
			word, color = "INTERRUPTED", yellow
		default:
			word, color = doubt, yellow
		}
	}
	how := []string{r.Run.Runtime, formatMS(float64(r.Run.DurationMS)), fmt.Sprintf("seed %d", r.Run.Seed)}
	if r.Run.Interrupted {
		how = append(how, "interrupted")
	}
	name := r.Scenario.Name
	if r.Run.Kind == LoadKind {
		name, how = r.Run.Target, how[1:]
	}
	p.line(p.paint(word, bold+color) + "  " + clean(name) + " (" + clean(strings.Join(how, ", ")) + ")")
	if r.Verdict.Reason != "" {
		p.note("", r.Verdict.Reason, "")
	}
}

func warnings(p *page, r *Result) {
	if len(r.Warnings) == 0 {
		return
	}
	p.title("Warnings")
	for _, w := range r.Warnings {
		p.note(indent+"- ", w, yellow)
	}
}

func files(p *page, r *Result, dir string) {
	if len(r.Artifacts) > 0 {
		p.title("Files")
		if dir != "" {
			p.line(indent + clean(filepath.Clean(dir)) + string(filepath.Separator))
		}
		p.note(indent, strings.Join(r.Artifacts, "  "), "")
	}
	if r.Run.Command != "" {
		p.line("")
		p.line("Again: " + clean(r.Run.Command))
	}
}

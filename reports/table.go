package reports

import (
	"strings"
	"unicode/utf8"
)

// table lays out rows in aligned columns, within a width.
type table struct {
	columns []column
	rows    [][]cell
}

// column is one column of a table.
type column struct {
	title string
	right bool // aligned: numbers
	spare bool // left out where the width does not suffice
}

// cell is a text and the colour it gets.
type cell struct {
	text  string
	color string
}

const (
	indent = "  "
	gap    = "  "
)

func (t *table) add(texts ...string) {
	row := make([]cell, len(texts))
	for i, text := range texts {
		row[i] = cell{text: clean(text)}
	}
	t.rows = append(t.rows, row)
}

// paint colours one cell of the last row.
func (t *table) paint(column int, color string) {
	t.rows[len(t.rows)-1][column].color = color
}

// render writes the table to the page: without the spare columns that do not
// fit, the last of them first, and with the last column cut to what is left.
func (t *table) render(p *page) {
	widths := t.widths()
	shown := make([]bool, len(t.columns))
	total := len(indent) - len(gap)
	for i := range t.columns {
		shown[i] = widths[i] > 0
		if shown[i] {
			total += len(gap) + widths[i]
		}
	}
	for i := len(t.columns) - 1; i >= 0 && total > p.width; i-- {
		if t.columns[i].spare && shown[i] {
			shown[i] = false
			total -= len(gap) + widths[i]
		}
	}
	header := make([]cell, len(t.columns))
	titled := false
	for i, c := range t.columns {
		header[i] = cell{text: c.title, color: dim}
		titled = titled || c.title != ""
	}
	if titled {
		p.line(t.layout(header, widths, shown, p))
	}
	for _, row := range t.rows {
		p.line(t.layout(row, widths, shown, p))
	}
}

func (t *table) widths() []int {
	widths := make([]int, len(t.columns))
	for i := range t.columns {
		filled := false
		for _, row := range t.rows {
			filled = filled || row[i].text != ""
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i].text))
		}
		if filled { // an empty column needs no title
			widths[i] = max(widths[i], utf8.RuneCountInString(t.columns[i].title))
		}
	}
	return widths
}

func (t *table) layout(row []cell, widths []int, shown []bool, p *page) string {
	var b strings.Builder
	used := len(indent)
	b.WriteString(indent)
	pending := 0 // spaces owed, so that no line ends in them
	for i, c := range row {
		if !shown[i] {
			continue
		}
		text := cut(c.text, p.width-used)
		space := max(0, widths[i]-utf8.RuneCountInString(text))
		if t.columns[i].right {
			pending += space
			space = 0
		}
		if text != "" {
			b.WriteString(strings.Repeat(" ", pending))
			b.WriteString(p.paint(text, c.color))
			pending = 0
		}
		pending += space + len(gap)
		used += widths[i] + len(gap)
	}
	return strings.TrimRight(b.String(), " ")
}

// cut shortens a text to a width.
func cut(s string, width int) string {
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	if width < 2 {
		return ""
	}
	return string([]rune(s)[:width-1]) + "…"
}

// wrap breaks a text into lines of at most the width, at its spaces.
func wrap(s string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(s) {
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) <= width:
			line += " " + word
		default:
			lines = append(lines, line)
			line = word
		}
	}
	return append(lines, line)
}

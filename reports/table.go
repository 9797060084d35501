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
// fit, the last of them first, and then with its texts cut. Numbers are never
// cut: a part of a number is another number.
func (t *table) render(p *page) {
	widths := t.fit(p.width)
	header := make([]cell, len(t.columns))
	titled := false
	for i, c := range t.columns {
		header[i] = cell{text: c.title, color: dim}
		titled = titled || c.title != ""
	}
	if titled {
		p.line(t.layout(header, widths, p))
	}
	for _, row := range t.rows {
		p.line(t.layout(row, widths, p))
	}
}

// fit gives each column its width; 0 leaves it out.
func (t *table) fit(width int) []int {
	widths := t.natural()
	over := t.total() - width
	for i := len(widths) - 1; i >= 0 && over > 0; i-- {
		if t.columns[i].spare && widths[i] > 0 {
			over -= len(gap) + widths[i]
			widths[i] = 0
		}
	}
	for over > 0 {
		widest := -1
		for i, w := range widths {
			if !t.columns[i].right && w > leastText && (widest < 0 || w > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break // the terminal wraps it
		}
		widths[widest]--
		over--
	}
	return widths
}

// total is the width of the whole table, if it may have it.
func (t *table) total() int {
	total := len(indent) - len(gap)
	for _, w := range t.natural() {
		if w > 0 {
			total += len(gap) + w
		}
	}
	return total
}

// leastText is the width below which a text tells nothing.
const leastText = 8

// natural is the width that each column would like to have.
func (t *table) natural() []int {
	widths := make([]int, len(t.columns))
	for i, c := range t.columns {
		for _, row := range t.rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i].text))
		}
		if widths[i] > 0 { // an empty column needs no title
			widths[i] = max(widths[i], utf8.RuneCountInString(c.title))
		}
	}
	return widths
}

func (t *table) layout(row []cell, widths []int, p *page) string {
	var b strings.Builder
	b.WriteString(indent)
	for i, c := range row {
		if widths[i] == 0 {
			continue
		}
		text := c.text
		if !t.columns[i].right {
			text = cut(text, widths[i])
		}
		space := strings.Repeat(" ", max(0, widths[i]-utf8.RuneCountInString(text)))
		if t.columns[i].right {
			b.WriteString(space + p.paint(text, c.color) + gap)
		} else {
			b.WriteString(p.paint(text, c.color) + space + gap)
		}
	}
	return b.String()
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

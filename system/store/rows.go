package store

import (
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// mostRows is how many rows one statement inserts. Their numbers are powers of
// two, so that a server has few statements to prepare.
const mostRows = 32

// plainInsert is an INSERT of given values and nothing else, as a server reads
// it: what is before the rows, and the rows.
var plainInsert = regexp.MustCompile(`(?s)^(INSERT INTO [^$]*VALUES )((?:\((?:\$\d+(?:, )?)+\)(?:,\s*)?)+)$`)

// insertion is a plain INSERT taken apart.
type insertion struct {
	plain        bool
	before, rows string
	args         int
}

var (
	inserts sync.Map // insertion by text
	merged  sync.Map // text by mergedText
)

type mergedText struct {
	text  string
	times int
}

// parseInsert takes a statement apart.
func parseInsert(text string) insertion {
	if known, ok := inserts.Load(text); ok {
		return known.(insertion)
	}
	var out insertion
	if parts := plainInsert.FindStringSubmatch(text); parts != nil {
		out = insertion{plain: true, before: parts[1], rows: parts[2], args: strings.Count(parts[2], "$")}
	}
	inserts.Store(text, out)
	return out
}

var placeholder = regexp.MustCompile(`\$\d+`)

// repeat is the text of the insert so many times over, in one statement.
func (in insertion) repeat(text string, times int) string {
	key := mergedText{text, times}
	if known, ok := merged.Load(key); ok {
		return known.(string)
	}
	var out strings.Builder
	out.WriteString(in.before)
	n := 0
	for i := range times {
		if i > 0 {
			out.WriteString(", ")
		}
		out.WriteString(placeholder.ReplaceAllStringFunc(in.rows, func(string) string {
			n++
			return "$" + strconv.Itoa(n)
		}))
	}
	merged.Store(key, out.String())
	return out.String()
}

// mergeInserts makes one statement of many that insert alike: a server spends
// more on each than on its row. Rows of one table stay in order; tables between
// which nothing but inserts stands may change places.
func mergeInserts(all []statement) []statement {
	out := make([]statement, 0, len(all))
	for len(all) > 0 {
		n := 0
		for n < len(all) && parseInsert(all[n].text).plain {
			n++
		}
		out = append(out, mergeRun(all[:n])...)
		if n < len(all) {
			out = append(out, all[n])
			n++
		}
		all = all[n:]
	}
	return out
}

// mergeRun does it for statements that are plain inserts, all of them.
func mergeRun(run []statement) (out []statement) {
	var texts []string
	alike := map[string][]statement{}
	for _, s := range run {
		if alike[s.text] == nil {
			texts = append(texts, s.text)
		}
		alike[s.text] = append(alike[s.text], s)
	}
	for _, text := range texts {
		in, rest := parseInsert(text), alike[text]
		for times := mostRows; len(rest) > 0; {
			if times > len(rest) {
				times /= 2
				continue
			}
			args := make([]any, 0, times*in.args)
			for _, s := range rest[:times] {
				args = append(args, s.args...)
			}
			out, rest = append(out, statement{in.repeat(text, times), args}), rest[times:]
		}
	}
	return out
}

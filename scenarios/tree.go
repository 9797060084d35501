package scenarios

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// The bounds of a scenario's text. The parser beneath takes time quadratic
// in both, so an absurd document is refused rather than waited for.
const (
	largestBytes = 64 << 10
	deepest      = 32
)

// text is what problems point into: a file, or the argument of an override.
type text struct {
	name  string
	lines []string
}

// place is a character of a text; line and column count from 1.
type place struct {
	in           *text
	line, column int
}

func (p place) problem(hint, format string, args ...any) Problem {
	return Problem{
		File: p.in.name, Line: p.line, Column: p.column,
		Message: fmt.Sprintf(format, args...), Hint: hint,
		Source: p.in.lines[p.line-1],
	}
}

// shape is the kind of a node.
type shape uint8

const (
	absent  shape = iota // null, or nothing after the colon
	scalar               // a single value, kept as it was written
	list                 // items
	mapping              // entries
	refused              // reported already: whoever reads it stays silent
)

func (s shape) String() string {
	return [...]string{"nothing", "a single value", "a list", "a mapping", "a refused value"}[s]
}

// node is one value of the document.
type node struct {
	place
	shape   shape
	text    string // scalar
	items   []*node
	entries []entry
	flow    bool // written on one line; not set by reading
}

// entry is one key of a mapping; keys are unique and in the order of the text.
type entry struct {
	key   *node
	value *node
}

// find returns the value of a key, nil where the mapping lacks it.
func (n *node) find(key string) *node {
	for _, e := range n.entries {
		if e.key.text == key {
			return e.value
		}
	}
	return nil
}

// tree is the document on its way from text to nodes.
type tree struct {
	in       *text
	line     int // lines before the document, and columns before it in its
	shift    int // first line: an override is only a part of its text
	problems Problems
}

// parse reads one YAML document. The node is never nil and usable whatever
// the problems; after a syntax error it is refused.
func parse(name, document string) (*node, Problems) {
	document = strings.TrimPrefix(document, "\ufeff")
	document = strings.ReplaceAll(document, "\r\n", "\n")
	t := &tree{in: &text{name: name, lines: strings.Split(strings.ToValidUTF8(document, "\ufffd"), "\n")}}
	root := t.parse(document)
	return root, t.problems
}

func (t *tree) parse(document string) (root *node) {
	broken := &node{place: t.at(1, 1), shape: refused}
	if !t.readable(document) {
		return broken
	}
	defer func() {
		// The parser beneath is not ours; a document it trips over is a
		// problem of the document, not a crash of the tool.
		if r := recover(); r != nil {
			t.complain(t.at(1, 1), "", "not valid YAML: %v", r)
			root = broken
		}
	}()
	tokens := lexer.Tokenize(document)
	if deep := tooDeep(tokens); deep != nil {
		t.complain(t.token(deep), "", "nested more than %d levels deep", deepest)
		return broken
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		t.syntax(document, err)
		return broken
	}
	return t.document(file)
}

// readable refuses what no scenario holds before the parser sees it.
func (t *tree) readable(document string) bool {
	if len(document) > largestBytes {
		t.complain(t.at(1, 1), "", "%d bytes long; a scenario has at most %d", len(document), largestBytes)
		return false
	}
	for i, line := range strings.Split(document, "\n") {
		if !utf8.ValidString(line) {
			clean := strings.ToValidUTF8(line, string(utf8.RuneError))
			column := utf8.RuneCountInString(clean[:strings.IndexRune(clean, utf8.RuneError)]) + 1
			t.complain(t.at(i+1, column), "save the file as UTF-8", "not valid UTF-8")
		}
		if at := strings.IndexFunc(line, control); at >= 0 {
			t.complain(t.at(i+1, utf8.RuneCountInString(line[:at])+1), "", "control character %U", rune(line[at]))
		}
	}
	return len(t.problems) == 0
}

func control(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

// tooDeep returns the first bracket beyond the depth that is allowed.
func tooDeep(tokens token.Tokens) *token.Token {
	depth := 0
	for _, tk := range tokens {
		switch tk.Type {
		case token.MappingStartType, token.SequenceStartType:
			if depth++; depth > deepest {
				return tk
			}
		case token.MappingEndType, token.SequenceEndType:
			depth--
		}
	}
	return nil
}

// syntax reports what the parser stopped at. It stops at the first error, so
// tabs, the most frequent one, are looked for in every line.
func (t *tree) syntax(document string, err error) {
	for i, line := range strings.Split(document, "\n") {
		indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
		if at := strings.IndexByte(indent, '\t'); at >= 0 {
			t.complain(t.at(i+1, at+1), "use spaces", "tab in the indentation")
		}
	}
	where, message := t.at(1, 1), err.Error()
	var known yaml.Error
	if errors.As(err, &known) {
		message = known.GetMessage()
		if tk := known.GetToken(); tk != nil {
			where = t.token(tk)
		}
	}
	for _, p := range t.problems {
		if p.Line == where.line || strings.Contains(message, "'\t'") {
			return
		}
	}
	t.complain(where, syntaxHint(message), "not valid YAML: %s", message)
}

func syntaxHint(message string) string {
	switch {
	case strings.Contains(message, "not allowed in this context"), strings.Contains(message, "non-map value"):
		return `check the indentation, and quote a value that contains ": "`
	case strings.Contains(message, "end token"), strings.Contains(message, "must be specified"):
		return "a bracket or brace before it is not closed"
	case strings.Contains(message, "reserved character"), strings.Contains(message, "directive"):
		return "quote the value"
	}
	return ""
}

// document returns the one document of the file.
func (t *tree) document(file *ast.File) *node {
	empty := &node{place: t.at(1, 1), shape: absent}
	var docs []*ast.DocumentNode
	for _, d := range file.Docs {
		if d.Body != nil {
			docs = append(docs, d)
		}
	}
	if len(docs) == 0 {
		return empty
	}
	if len(docs) > 1 {
		t.complain(t.node(docs[1].Body), "put each scenario in a file of its own", "a second document; a file holds one scenario")
	}
	return t.convert(docs[0].Body)
}

// convert copies a node of the parser. What scenarios do not use (anchors,
// tags, merge keys) is refused here, so that nothing is silently ignored.
func (t *tree) convert(n ast.Node) *node {
	switch n := n.(type) {
	case nil:
		return &node{place: t.at(1, 1), shape: absent}
	case *ast.NullNode:
		return &node{place: t.node(n), shape: absent}
	case *ast.MappingNode:
		return t.mapping(t.node(n), n.Values)
	case *ast.MappingValueNode:
		return t.mapping(t.node(n), []*ast.MappingValueNode{n})
	case *ast.SequenceNode:
		out := &node{place: t.node(n), shape: list}
		for _, v := range n.Values {
			out.items = append(out.items, t.convert(v))
		}
		return out
	case *ast.LiteralNode:
		return &node{place: t.node(n), shape: scalar, text: n.Value.Value}
	case *ast.AnchorNode:
		return t.refuse(n, "write the values out where they are needed", "anchors are not supported")
	case *ast.AliasNode:
		return t.refuse(n, "write the values out where they are needed", "aliases are not supported")
	case *ast.TagNode:
		return t.refuse(n, "leave the tag out", "tags are not supported")
	case *ast.MergeKeyNode:
		return t.refuse(n, "write the keys out where they are needed", "merge keys are not supported")
	case *ast.MappingKeyNode:
		return t.refuse(n, `write "key: value"`, "complex keys are not supported")
	case ast.ScalarNode:
		return &node{place: t.node(n), shape: scalar, text: n.GetToken().Value}
	}
	return t.refuse(n, "", "unexpected %s", n.Type().YAMLName())
}

func (t *tree) refuse(n ast.Node, hint, format string, args ...any) *node {
	where := t.node(n)
	t.complain(where, hint, format, args...)
	return &node{place: where, shape: refused}
}

func (t *tree) mapping(where place, values []*ast.MappingValueNode) *node {
	out := &node{place: where, shape: mapping}
	first := make(map[string]place)
	for _, v := range values {
		key := t.convert(v.Key)
		if key.shape == absent { // "~: 1" and ": 1"
			key.shape, key.text = scalar, v.Key.GetToken().Value
		}
		value := t.convert(v.Value)
		if key.shape != scalar {
			continue
		}
		if before, twice := first[key.text]; twice {
			t.complain(key.place, "", "duplicate key %q; it stands in line %d already", key.text, before.line)
			continue
		}
		first[key.text] = key.place
		out.entries = append(out.entries, entry{key, value})
	}
	return out
}

// node is where a node of the parser starts: a block mapping at its first
// key, for its own token is a colon.
func (t *tree) node(n ast.Node) place {
	switch v := n.(type) {
	case *ast.MappingNode:
		if !v.IsFlowStyle && len(v.Values) > 0 {
			return t.node(v.Values[0])
		}
	case *ast.MappingValueNode:
		return t.node(v.Key)
	}
	return t.token(n.GetToken())
}

func (t *tree) token(tk *token.Token) place {
	if tk == nil || tk.Position == nil {
		return t.at(1, 1)
	}
	return t.at(tk.Position.Line, tk.Position.Column)
}

// at clamps a position to the text, because a problem must point into it.
func (t *tree) at(line, column int) place {
	if line == 1 {
		column += t.shift
	}
	line = max(1, min(line+t.line, len(t.in.lines)))
	column = max(1, min(column, utf8.RuneCountInString(t.in.lines[line-1])+1))
	return place{t.in, line, column}
}

func (t *tree) complain(where place, hint, format string, args ...any) {
	t.problems = append(t.problems, where.problem(hint, format, args...))
}

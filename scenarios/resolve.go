package scenarios

import (
	"regexp"
	"strconv"
	"strings"
)

// resolve is the scenario as YAML with every default written out.
func resolve(s *Scenario) string {
	var b strings.Builder
	writeBlock(&b, schema(s).write(), "")
	return b.String()
}

// writeBlock writes a mapping, one key to a line.
func writeBlock(b *strings.Builder, n *node, indent string) {
	for _, e := range n.entries {
		b.WriteString(indent + e.key.text + ":")
		switch v := e.value; {
		case v.shape == mapping && !v.flow:
			b.WriteByte('\n')
			writeBlock(b, v, indent+"  ")
		case v.shape == list && !v.flow && len(v.items) > 0:
			b.WriteByte('\n')
			for _, item := range v.items {
				b.WriteString(indent + "  - ")
				writeFlow(b, item)
				b.WriteByte('\n')
			}
		default:
			b.WriteByte(' ')
			writeFlow(b, v)
			b.WriteByte('\n')
		}
	}
}

// writeFlow writes a value on the line that was begun.
func writeFlow(b *strings.Builder, n *node) {
	switch n.shape {
	case scalar:
		b.WriteString(quoted(n.text))
	case list:
		b.WriteByte('[')
		for i, item := range n.items {
			if i > 0 {
				b.WriteString(", ")
			}
			writeFlow(b, item)
		}
		b.WriteByte(']')
	case mapping:
		b.WriteByte('{')
		for i, e := range n.entries {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(e.key.text + ": ")
			writeFlow(b, e.value)
		}
		b.WriteByte('}')
	}
}

// bare is what needs no quotes anywhere in a document.
var bare = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9 _./%+-]*[A-Za-z0-9_./%+-])?$`)

func quoted(s string) string {
	switch strings.ToLower(s) {
	case "null", "nan", "inf":
	default:
		if bare.MatchString(s) {
			return s
		}
	}
	return strconv.Quote(s)
}

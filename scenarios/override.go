package scenarios

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// overrideFile stands in the place of a file name in problems of an override.
const overrideFile = "--set"

// override puts each "path=value" into the document, in order. The path names
// keys, and items of lists by their name, id or index:
// "traffic.phases.spike.rate". Whether the path exists in a scenario is for
// the schema to say. In problems the n-th override is line n.
func override(root *node, arguments []string) Problems {
	in := &text{name: overrideFile}
	for _, argument := range arguments {
		in.lines = append(in.lines, strings.ToValidUTF8(argument, "\ufffd"))
	}
	var problems Problems
	for i, argument := range arguments {
		t := &tree{in: in, line: i}
		t.override(root, argument)
		problems = append(problems, t.problems...)
	}
	return problems
}

func (t *tree) override(root *node, argument string) {
	path, document, assigned := strings.Cut(argument, "=")
	if !assigned || strings.ContainsAny(argument, "\n\r") {
		t.complain(t.at(1, 1), "write path=value, such as system.patterns.outbox=off", "%q is not an override", argument)
		return
	}
	column := 1
	at := root
	for step := range strings.SplitSeq(path, ".") {
		if at = t.step(at, step, t.at(1, column)); at == nil {
			return
		}
		column += utf8.RuneCountInString(step) + 1
	}
	t.shift = column - 1
	value := t.parse(document)
	if value.shape == absent {
		value.place = t.at(1, 1)
	}
	*at = *value
}

// step is the child that an override goes through, made if a mapping lacks it.
func (t *tree) step(from *node, name string, where place) *node {
	child := from.step(name)
	switch {
	case name == "":
		t.complain(where, "", "a name is missing in the path")
		return nil
	case child != nil:
		return child
	case from.shape == list:
		t.complain(where, suggest(name, from.names()), "no item %q", name)
		return nil
	case from.shape == scalar:
		t.complain(where, "", "%q is below a single value", name)
		return nil
	case from.shape == refused:
		return nil
	}
	child = &node{place: where, shape: absent}
	from.shape = mapping
	from.entries = append(from.entries, entry{&node{place: where, shape: scalar, text: name}, child})
	return child
}

// step is the child of a name: the value of a key, or the item that has that
// name, id or index.
func (n *node) step(name string) *node {
	if n.shape == mapping {
		return n.find(name)
	}
	for _, item := range n.items {
		if slices.Contains(item.own(), name) {
			return item
		}
	}
	if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(n.items) {
		return n.items[i]
	}
	return nil
}

// own is what an item of a list is called.
func (n *node) own() []string {
	var names []string
	for _, key := range []string{"name", "id"} {
		if v := n.find(key); v != nil && v.shape == scalar {
			names = append(names, v.text)
		}
	}
	return names
}

func (n *node) names() []string {
	var names []string
	for _, item := range n.items {
		names = append(names, item.own()...)
	}
	return names
}

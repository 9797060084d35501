package scenarios

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// rule binds a key of the document to its place in a Scenario. Reading and
// writing stand side by side, so that the resolved text can't drift from what
// is read.
type rule interface {
	read(r *reader, n *node)
	write() *node // nil: there is nothing to write
}

// reader takes a document into a Scenario and remembers where each value
// came from, by the address of its field.
type reader struct {
	problems Problems
	places   map[any]place
	broken   map[any]bool       // what could not be read: it is not judged again
	misspelt map[*node][]string // known keys that a mapping has under a wrong name
	after    []func()           // what must wait until all is read
	dir      string             // where files that the document names are
}

// meant says that a mapping has a key, misspelt. That was reported, so that
// the key is not reported as missing.
func (r *reader) meant(n *node, key string) bool { return slices.Contains(r.misspelt[n], key) }

func newReader() *reader {
	return &reader{places: map[any]place{}, broken: map[any]bool{}, misspelt: map[*node][]string{}}
}

func (r *reader) complain(where place, hint, format string, args ...any) {
	r.problems = append(r.problems, where.problem(hint, format, args...))
}

// mark notes where a field was read from.
func (r *reader) mark(field any, where place) { r.places[field] = where }

// at is where a field was read from, or else its owner: the nearest thing
// there is to point at.
func (r *reader) at(field, owner any) place {
	if p, ok := r.places[field]; ok {
		return p
	}
	return r.places[owner]
}

// wrong is why a value can't be taken.
type wrong struct{ message, hint string }

func (w *wrong) Error() string { return w.message }

func wrongf(hint, format string, args ...any) *wrong {
	return &wrong{fmt.Sprintf(format, args...), hint}
}

// value is a single value.
type value struct {
	to   any    // address of the field
	want string // "a duration"
	set  func(text string) *wrong
	get  func() string
}

func (v value) read(r *reader, n *node) {
	r.mark(v.to, n.place)
	switch n.shape {
	case scalar:
		if w := v.set(n.text); w != nil {
			r.broken[v.to] = true
			r.complain(n.place, w.hint, "%s", w.message)
		}
		return
	case refused:
	case absent:
		r.complain(n.place, "write it, or leave the key out", "no value; want %s", v.want)
	default:
		r.complain(n.place, "", "want %s, not %s", v.want, n.shape)
	}
	r.broken[v.to] = true
}

func (v value) write() *node { return &node{shape: scalar, text: v.get()} }

// object is a mapping with known keys.
type object struct {
	of     string // what it describes, for messages
	fields []field
	later  []string // keys that a later version will know
	flow   bool     // written on one line
}

// field is one key of an object.
type field struct {
	key  string
	rule rule
	must bool
}

func (o object) read(r *reader, n *node) {
	switch n.shape {
	case mapping:
	case refused:
		return
	case absent:
		n = &node{place: n.place, shape: mapping}
	default:
		r.complain(n.place, "", "%s is a mapping, not %s", o.of, n.shape)
		return
	}
	for _, e := range n.entries {
		i := slices.IndexFunc(o.fields, func(f field) bool { return f.key == e.key.text })
		switch {
		case i >= 0:
			o.fields[i].rule.read(r, e.value)
		case slices.Contains(o.later, e.key.text):
			r.complain(e.key.place, "leave it out", "%q is not available yet in this version", e.key.text)
		default:
			r.misspelt[n] = append(r.misspelt[n], nearest(e.key.text, o.keys()))
			r.complain(e.key.place, suggest(e.key.text, o.keys()), "unknown key %q in %s", e.key.text, o.of)
		}
	}
	for _, f := range o.fields {
		if f.must && n.find(f.key) == nil {
			if !r.meant(n, f.key) {
				r.complain(n.place, "", "%s lacks %q", o.of, f.key)
			}
			if v, ok := f.rule.(value); ok {
				r.broken[v.to] = true
			}
		}
	}
}

func (o object) keys() []string {
	var keys []string
	for _, f := range o.fields {
		keys = append(keys, f.key)
	}
	return keys
}

func (o object) write() *node {
	out := &node{shape: mapping, flow: o.flow}
	for _, f := range o.fields {
		if v := f.rule.write(); v != nil {
			out.entries = append(out.entries, entry{&node{shape: scalar, text: f.key}, v})
		}
	}
	return out
}

// listOf is a list of equal things.
type listOf[T any] struct {
	to   *[]T
	want string // "a list of phases"
	item func(*T) rule
	flow bool
}

func (l listOf[T]) read(r *reader, n *node) {
	r.mark(l.to, n.place)
	switch n.shape {
	case absent, refused:
		r.broken[l.to] = n.shape == refused
		return
	case list:
	default:
		r.complain(n.place, `begin each item with "- "`, "want %s, not %s", l.want, n.shape)
		r.broken[l.to] = true
		return
	}
	*l.to = make([]T, len(n.items))
	for i, item := range n.items {
		it := &(*l.to)[i]
		r.mark(it, item.place)
		l.item(it).read(r, item)
	}
}

func (l listOf[T]) write() *node {
	out := &node{shape: list, flow: l.flow}
	for i := range *l.to {
		out.items = append(out.items, l.item(&(*l.to)[i]).write())
	}
	return out
}

// The kinds of single values.

func words(to *string) value {
	return value{to, "text", func(s string) *wrong { *to = s; return nil }, func() string { return *to }}
}

// paragraph is text on one line, however the document wraps it.
func paragraph(to *string) value {
	return value{to, "text", func(s string) *wrong {
		*to = strings.Join(strings.Fields(s), " ")
		return nil
	}, func() string { return *to }}
}

// oneOf is a word of a list; later names those that a later version will know.
func oneOf(to *string, known []string, later ...string) value {
	return value{to, "one of " + sentence(known), func(s string) *wrong {
		switch {
		case slices.Contains(known, s):
			*to = s
			return nil
		case slices.Contains(later, s):
			return wrongf("available: "+sentence(known), "%q is not available yet in this version", s)
		}
		return wrongf(suggest(s, known), "unknown %q; want %s", s, sentence(known))
	}, func() string { return *to }}
}

func onOff(to *bool) value { return yesNo(to, "on", "off") }

func trueFalse(to *bool) value { return yesNo(to, "true", "false") }

// yesNo takes every spelling of a switch, and writes the given ones.
func yesNo(to *bool, yes, no string) value {
	return value{to, yes + " or " + no, func(s string) *wrong {
		switch s {
		case "on", "true", "yes":
			*to = true
		case "off", "false", "no":
			*to = false
		default:
			return wrongf("write "+yes+" or "+no, "%q is neither %s nor %s", s, yes, no)
		}
		return nil
	}, func() string {
		if *to {
			return yes
		}
		return no
	}}
}

// whole is a number between two bounds.
func whole[N int | int64 | uint64](to *N, least, most int64) value {
	return value{to, "a whole number", func(s string) *wrong {
		n, err := strconv.ParseInt(s, 10, 64)
		switch {
		case err != nil:
			return wrongf("", "%q is not a whole number", s)
		case n < 0 && least == 0:
			return wrongf("", "%d is negative", n)
		case n < least || n > most:
			return wrongf("", "%d is out of range; want %d to %d", n, least, most)
		}
		*to = N(n)
		return nil
	}, func() string { return fmt.Sprint(*to) }}
}

package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ordbench/ordbench/chaos/proxy"
)

var partition = Definition{
	Name:    "partition",
	Family:  PartitionFamily,
	Summary: "nothing passes between two groups of components; what is under way waits",
	Targets: []string{"gateway|order", "order+inventory|broker", "broker|rest", "broker->payment"},
	Options: []Option{shareOption, forOption},
	Example: "ordbench chaos partition 'order+inventory|broker' --for 5s",
	on:      onPartition,
	piles:   true,
	bind:    bindPartition,
}

// groups is a partition: two groups, and whether only the way from the first
// to the second is lost.
type groups struct {
	from, to []string
	oneWay   bool
}

// parsePartition reads "a+b|c", both ways, or "a+b->c", one way. The group
// "rest" is all that the other does not name, without the database.
func parsePartition(s string) (groups, *UsageError) {
	fail := func(hint, format string, args ...any) (groups, *UsageError) {
		return groups{}, &UsageError{Field: "target", Message: fmt.Sprintf(format, args...), Hint: hint}
	}
	left, right, ok := strings.Cut(s, "|")
	p := groups{}
	if !ok {
		left, right, ok = strings.Cut(s, "->")
		p.oneWay = true
	}
	if !ok {
		return fail("write gateway|order, order+inventory|broker, broker|rest, or broker->payment for one way", "%q is no partition", s)
	}
	for _, side := range []struct {
		text string
		to   *[]string
	}{{left, &p.from}, {right, &p.to}} {
		if side.text == "rest" {
			continue
		}
		for _, c := range strings.Split(side.text, "+") {
			if !slices.Contains(processes, c) && c != Client {
				return fail(suggest(c, append(slices.Clone(processes), "rest")), "unknown component %q in the partition %q", c, s)
			}
			*side.to = append(*side.to, c)
		}
	}
	if p.from == nil && p.to == nil {
		return fail("name one of the groups", "%q: who is the rest?", s)
	}
	for _, c := range components {
		if p.from == nil && !slices.Contains(p.to, c) {
			left += "+" + c
		}
		if p.to == nil && !slices.Contains(p.from, c) {
			right += "+" + c
		}
	}
	if p.from == nil {
		p.from = strings.Split(left, "+")[1:]
	}
	if p.to == nil {
		p.to = strings.Split(right, "+")[1:]
	}
	for _, c := range p.from {
		if slices.Contains(p.to, c) {
			return fail("", "%s stands on both sides of the partition %q", c, s)
		}
	}
	if len(p.links()) == 0 {
		return fail("the links are "+strings.Join(links, ", "), "no link joins the two sides of %q", s)
	}
	return p, nil
}

// links are those that the partition crosses.
func (p groups) links() []string {
	var crossed []string
	for _, l := range links {
		if _, crosses := p.direction(l); crosses {
			crossed = append(crossed, l)
		}
	}
	return crossed
}

// direction is which way of a link the partition closes.
func (p groups) direction(link string) (proxy.Direction, bool) {
	opens, takes, _ := strings.Cut(link, "->")
	switch {
	case slices.Contains(p.from, opens) && slices.Contains(p.to, takes):
		if p.oneWay {
			return proxy.Forward, true
		}
		return proxy.Both, true
	case slices.Contains(p.to, opens) && slices.Contains(p.from, takes):
		if p.oneWay {
			return proxy.Backward, true
		}
		return proxy.Both, true
	}
	return 0, false
}

func bindPartition(e *Engine, s Spec) (act, error) {
	linker, err := means[Linker](e, "links to disturb")
	if err != nil {
		return act{}, err
	}
	p, usage := parsePartition(s.Target)
	if usage != nil {
		return act{}, usage
	}
	name := e.unique(s.Fault)
	crossed := map[string][]Proxy{}
	for _, l := range p.links() {
		if crossed[l], err = linker.Link(l); err != nil {
			return act{}, notOpen(l)
		}
	}
	told := func(c proxy.Count) string {
		return fmt.Sprintf("%d connections met it, and waited with %d bytes", c.Connections, c.Bytes)
	}
	return act{
		apply: func(context.Context, string) (Sight, error) {
			for l, proxies := range crossed {
				direction, _ := p.direction(l)
				for _, proxied := range proxies {
					if err := proxied.Set(name, proxy.Rule{Hold: true, Direction: direction, Share: s.share("share")}); err != nil {
						return Sight{}, fmt.Errorf("%s: %w", l, err)
					}
				}
			}
			return Sight{At: time.Now(), Armed: true}, nil
		},
		prove: func(ctx context.Context, _ string) (Sight, error) {
			for l, proxies := range crossed {
				probing, cancel := context.WithTimeout(ctx, probeWithin)
				seen, err := proxies[0].Probe(probing, 1)
				cancel()
				switch {
				case err != nil:
					return Sight{}, fmt.Errorf("%s: %w", l, err)
				case seen.Reset: // by something else that stands there
					return Sight{}, nil
				case !seen.Silent && !seen.Refused:
					return Sight{}, fmt.Errorf("a probe passed %s in %s", l, seen.Took)
				}
			}
			return saw("probes heard nothing on %s", strings.Join(p.links(), ", ")), nil
		},
		look: func(context.Context, string) (Sight, error) {
			var held proxy.Count
			for _, proxies := range crossed {
				for _, proxied := range proxies {
					c, _ := proxied.Count(name)
					held = held.Plus(c)
				}
			}
			if !held.Met() {
				return Sight{Armed: true}, fmt.Errorf("nothing was sent on %s", strings.Join(p.links(), ", "))
			}
			return saw("%s", told(held)), nil
		},
		undo: func(context.Context, string) (Sight, error) {
			var held proxy.Count
			var errs []error
			for _, proxies := range crossed {
				c, err := clearAll(proxies, name)
				held, errs = held.Plus(c), append(errs, err)
			}
			sight := saw("the groups reach each other again")
			if held.Met() {
				sight.Came = told(held)
			}
			return sight, errors.Join(errs...)
		},
	}, nil
}

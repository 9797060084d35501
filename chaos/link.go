package chaos

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ordbench/ordbench/chaos/proxy"
)

// Linker has proxies in the links of the system.
type Linker interface {
	// Link returns the proxies of a link, one for each address that its
	// client knows. The error says that the link was not opened at boot.
	Link(name string) ([]Proxy, error)
}

// Proxy stands in a link, in this process or in another.
type Proxy interface {
	// Set puts a rule on the link under a name, in place of one of that name.
	Set(name string, r proxy.Rule) error
	// Clear takes a rule away and says what it has done.
	Clear(name string) (proxy.Count, error)
	// Count is what a rule has done so far; false if there is none of that
	// name, or nobody can tell.
	Count(name string) (proxy.Count, bool)
	// Probe sends bytes through the link to an echo and says what they met.
	Probe(ctx context.Context, bytes int) (proxy.Probe, error)
}

// probeWithin is how long a probe waits before it calls a link silent.
const probeWithin = 150 * time.Millisecond

// linkFault is a rule on the proxies of one link. prove takes a probe and says
// what it shows, "" if not the effect; counted tells what the rule has done.
type linkFault struct {
	rule    proxy.Rule
	bytes   int           // that a probe sends
	within  time.Duration // that a probe may take; 0 takes probeWithin
	prove   func(proxy.Probe) string
	counted func(proxy.Count) string
}

var directions = map[string]proxy.Direction{"both": proxy.Both, "forward": proxy.Forward, "backward": proxy.Backward}

// act binds the fault to a link.
func (l linkFault) act(e *Engine, s Spec) (act, error) {
	linker, err := means[Linker](e, "links to disturb")
	if err != nil {
		return act{}, err
	}
	proxies, err := linker.Link(s.Target)
	if err != nil {
		return act{}, notOpen(s.Target)
	}
	l.rule.Direction = directions[s.text("direction")]
	l.rule.Share = s.share("share")
	name := e.unique(s.Fault)
	return act{
		apply: func(_ context.Context, place string) (Sight, error) {
			for _, p := range proxies {
				if err := p.Set(name, l.rule); err != nil {
					return Sight{}, fmt.Errorf("%s: %w", place, err)
				}
			}
			return Sight{At: time.Now(), Armed: true}, nil
		},
		prove: func(ctx context.Context, _ string) (Sight, error) { return l.probe(ctx, proxies[0]) },
		look: func(context.Context, string) (Sight, error) {
			var all proxy.Count
			for _, p := range proxies {
				c, _ := p.Count(name)
				all = all.Plus(c)
			}
			if !all.Met() {
				return Sight{Armed: true}, fmt.Errorf("nothing was sent on %s", s.Target)
			}
			return saw("%s", l.counted(all)), nil
		},
		undo: func(context.Context, string) (Sight, error) {
			all, err := clearAll(proxies, name)
			sight := saw("lets through again")
			if all.Met() {
				sight.Came = l.counted(all)
			}
			return sight, err
		},
	}, nil
}

// probe sends one connection of our own through the link. What it meets is
// the proof: what the system sends meets the same rule.
func (l linkFault) probe(ctx context.Context, p Proxy) (Sight, error) {
	within := l.within
	if within == 0 {
		within = probeWithin
	}
	probing, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	seen, err := p.Probe(probing, max(1, l.bytes))
	if err != nil {
		return Sight{}, err
	}
	if proof := l.prove(seen); proof != "" {
		return saw("%s", proof), nil
	}
	return Sight{}, nil
}

// clearAll takes a rule off every proxy of a link, and says what it has done.
func clearAll(proxies []Proxy, name string) (all proxy.Count, err error) {
	for _, p := range proxies {
		c, failed := p.Clear(name)
		all, err = all.Plus(c), errors.Join(err, failed)
	}
	return all, err
}

// unique names a rule so that faults of one kind can stand together.
func (e *Engine) unique(kind string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return fmt.Sprintf("%s-%d", kind, len(e.faults))
}

func notOpen(link string) *UsageError {
	return &UsageError{
		Field:   "target",
		Message: fmt.Sprintf("the link %s was booted without a proxy in it", link),
		Hint:    fmt.Sprintf("boot with `ordbench up --links '%s'`, or --links all; a scenario opens what its faults name", link),
	}
}

// linkOptions are those of a fault on a link: its own, and then what all have.
func linkOptions(own ...Option) []Option {
	return append(own, directionOption, shareOption, forOption)
}

package conductor

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/ordbench/ordbench/chaos"
	"github.com/ordbench/ordbench/chaos/proxy"
	"github.com/ordbench/ordbench/system"
)

// wiring stands in the links of a stack that were asked for, with a proxy for
// each address. A link that nobody asked for stays direct: it costs nothing.
// What can't come by way of this process has its proxies in another one, the
// station, which the runtime has started.
type wiring struct {
	wanted  []string
	station *proxy.Remote // nil: there is none

	mu      sync.Mutex
	proxies map[string][]*proxy.Link       // by link, in this process
	distant map[string][]*proxy.RemoteLink // by link, in the station
}

func newWiring(links []string) *wiring {
	return &wiring{wanted: links, proxies: map[string][]*proxy.Link{}, distant: map[string][]*proxy.RemoteLink{}}
}

// join takes over what the runtime has put into the links.
func (w *wiring) join(d *system.Detours) {
	if d == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.station = proxy.Dial(d.Addr, d.Token)
	for n, route := range d.Routes {
		w.distant[route.Link] = append(w.distant[route.Link], w.station.Link(n))
	}
}

// through is the address under which a component reaches another that listens
// on addr.
func (w *wiring) through(from, to system.Component, addr string) (string, error) {
	name := string(from) + "->" + string(to)
	if !slices.Contains(w.wanted, name) {
		return addr, nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.proxies[name] {
		if p.Upstream() == addr {
			return p.Addr(), nil
		}
	}
	p, err := proxy.Open(addr)
	if err != nil {
		return "", fmt.Errorf("open the link %s: %w", name, err)
	}
	w.proxies[name] = append(w.proxies[name], p)
	return p.Addr(), nil
}

// Link returns the proxies of a link.
func (w *wiring) Link(name string) ([]chaos.Proxy, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []chaos.Proxy
	for _, p := range w.proxies[name] {
		all = append(all, p)
	}
	for _, p := range w.distant[name] {
		all = append(all, p)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("the link %s was not opened", name)
	}
	return all, nil
}

func (w *wiring) close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var errs []error
	for _, proxies := range w.proxies {
		for _, p := range proxies {
			errs = append(errs, p.Close())
		}
	}
	if w.station != nil {
		errs = append(errs, w.station.Close())
	}
	return errors.Join(errs...)
}

// site is what the faults of a session work on: the stack, and its links.
type site struct {
	*system.Stack
	*wiring
}

// everyLink is what opens all links.
const everyLink = "all"

// OpenLinks says which links a list of names means, "all" being every one.
func OpenLinks(names []string) ([]string, error) {
	all := chaos.Links()
	if slices.Contains(names, everyLink) {
		return all, nil
	}
	for _, n := range names {
		if !slices.Contains(all, n) {
			return nil, &chaos.UsageError{Field: "links", Message: fmt.Sprintf("unknown link %q", n), Hint: fmt.Sprintf("all, or some of %v", all)}
		}
	}
	return names, nil
}

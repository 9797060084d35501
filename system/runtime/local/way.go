package local

import (
	"github.com/ordbench/ordbench/system"
	"github.com/ordbench/ordbench/system/bus"
)

// way is how one component reaches the others.
type way struct {
	from    system.Component
	through func(from, to system.Component, addr string) (string, error) // nil: directly
	err     error                                                        // the first
}

// to is where the component finds those that listen on addrs.
func (w *way) to(component system.Component, addrs []string) []string {
	if w.through == nil {
		return addrs
	}
	ways := make([]string, len(addrs))
	for i, addr := range addrs {
		var err error
		if ways[i], err = w.through(w.from, component, addr); err != nil && w.err == nil {
			w.err = err
		}
	}
	return ways
}

// toBrokers is to for brokers, which say themselves where they are.
func (w *way) toBrokers(addrs []string) []string {
	ways := w.to(system.Broker, addrs)
	for i, addr := range addrs {
		if ways[i] != addr {
			ways[i] = bus.Detour(addr, ways[i])
		}
	}
	return ways
}

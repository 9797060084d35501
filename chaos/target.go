package chaos

import (
	"slices"
	"strconv"
	"strings"
)

var (
	components = []string{"gateway", "order", "inventory", "payment", "notification", "broker", "cache"}
	// processes are the components with the database, where that is one.
	processes = append(slices.Clone(components), database)
	services  = components[:5]
	// keepers are the services with a database of their own.
	keepers = components[1:5]
)

// database is a component where it is a server of its own.
const database = "database"

// Client is the load generator, where it stands at the end of a link.
const Client = "client"

// links are the connections of the topology, from who opens them. Those to
// the database are there where it is a server.
var links = []string{
	"client->gateway", "gateway->order", "gateway->inventory", "gateway->cache",
	"order->broker", "inventory->broker", "payment->broker", "notification->broker",
	"order->database", "inventory->database", "payment->database", "notification->database",
}

// Links lists every link of the topology.
func Links() []string { return slices.Clone(links) }

// LinksOf names the links that a fault works on; whoever boots a system for
// it has to open them.
func (s Spec) LinksOf() []string {
	switch d, _ := Find(s.Fault); d.on {
	case onLink:
		if slices.Contains(links, s.Target) {
			return []string{s.Target}
		}
	case onPartition:
		p, err := parsePartition(s.Target)
		if err == nil {
			return p.links()
		}
	}
	return nil
}

// component splits a target: "inventory-3" is a replica of "inventory". It
// returns "" where the target is neither a component nor a replica.
func (s Spec) component() (name string, replica bool) {
	for _, c := range processes {
		if s.Target == c {
			return c, false
		}
		if number, ok := strings.CutPrefix(s.Target, c+"-"); ok {
			if n, err := strconv.Atoi(number); err == nil && n >= 0 {
				return c, true
			}
		}
	}
	return "", false
}

package failpoint

import (
	"slices"
	"strings"
)

// catalogue is every point of the order system: the component, then where.
//
//	before-commit         the transaction is written and not committed
//	after-commit          it is committed; nobody was told of it
//	before-offset-commit  what was consumed is done; the group does not know
//	after-offset-commit   the group knows
//	aside.*               a message that failed is about to be sent on to be tried
//	                      again or laid aside; it was sent, its offset stands
//	relay.*               an event is about to be published; it is published and
//	                      not marked; it is marked
//	2pc.*                 of two-phase commit: the coordinator decides, has decided,
//	                      has told all; a participant prepares, votes, is told
//	                      how it ended, has the money held, taken or let go
//	compensation.*        stock is given back, as above
//	refund.*              money was given back, as above
//	cancel.*              an order is called off, as above
var catalogue = slices.Concat(
	under("order", "place.before-commit", "place.after-commit", "consume.before-commit", "consume.after-commit",
		"cancel.before-commit", "cancel.after-commit"),
	under("order", offsets...), under("order", aside...), under("order", relay...),
	under("order", "2pc.before-decision", "2pc.after-decision", "2pc.before-settled"),
	under("inventory", "2pc.before-prepare", "2pc.after-prepare", "2pc.before-commit", "2pc.after-commit", "2pc.before-abort", "2pc.after-abort"),
	under("payment", "2pc.after-authorise", "2pc.after-prepare", "2pc.before-commit", "2pc.after-capture", "2pc.after-commit", "2pc.before-abort", "2pc.after-void"),
	under("inventory", "before-commit", "after-commit", "compensation.before-commit", "compensation.after-commit"),
	under("inventory", offsets...), under("inventory", aside...), under("inventory", relay...),
	under("payment", "before-charge", "after-charge", "before-commit", "after-commit", "refund.before-commit", "refund.after-commit"),
	under("payment", offsets...), under("payment", aside...), under("payment", relay...),
	under("notification", "before-commit", "after-commit"),
	under("notification", offsets...), under("notification", aside...),
)

var (
	offsets = []string{"before-offset-commit", "after-offset-commit"}
	aside   = []string{"aside.before-publish", "aside.after-publish"}
	relay   = []string{"relay.before-publish", "relay.after-publish", "relay.after-mark"}
)

func under(component string, names ...string) []string {
	full := make([]string, len(names))
	for i, name := range names {
		full[i] = component + "." + name
	}
	return full
}

// Catalogue names the points of a component; all of them for "".
func Catalogue(component string) []string {
	var names []string
	for _, name := range catalogue {
		if component == "" || strings.HasPrefix(name, component+".") {
			names = append(names, name)
		}
	}
	return names
}

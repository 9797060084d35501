package system

import (
	"fmt"
	"slices"
)

// Component is one kind of process of the order system. A component runs as
// one or more replicas, named "inventory-0", "inventory-1" and so on.
type Component string

// The components.
const (
	Broker       Component = "broker"       // Kafka protocol
	Cache        Component = "cache"        // Redis protocol
	Database     Component = "database"     // SQL, where that is a server of its own
	Order        Component = "order"        // takes orders
	Inventory    Component = "inventory"    // keeps the stock
	Payment      Component = "payment"      // takes the money
	Notification Component = "notification" // tells the customers
	Gateway      Component = "gateway"      // the way in
)

// Components lists them in the order in which they boot.
func Components() []Component {
	return []Component{Broker, Cache, Database, Order, Inventory, Payment, Notification, Gateway}
}

// ReplicaName is the name of the n-th replica, counted from 0.
func (c Component) ReplicaName(n int) string { return fmt.Sprintf("%s-%d", c, n) }

// valid tells whether c is a component at all.
func (c Component) valid() bool { return slices.Contains(Components(), c) }

package order

import (
	"github.com/ordbench/ordbench/system/bus"
	"github.com/ordbench/ordbench/system/failpoint"
)

// The failpoints of the service, each between two steps.
var (
	beforePlaced  = failpoint.At("order.place.before-commit")
	afterPlaced   = failpoint.At("order.place.after-commit")
	beforeApplied = failpoint.At("order.consume.before-commit")
	afterApplied  = failpoint.At("order.consume.after-commit")

	beforeDecision  = failpoint.At("order.2pc.before-decision")
	afterDecision   = failpoint.At("order.2pc.after-decision")
	beforeSettled   = failpoint.At("order.2pc.before-settled")
	beforeCancelled = failpoint.At("order.cancel.before-commit")
	afterCancelled  = failpoint.At("order.cancel.after-commit")

	asidePoints    = bus.AsidePointsOf("order")
	consumerPoints = bus.ConsumerPointsOf("order")
	relayPoints    = bus.RelayPointsOf("order")
)

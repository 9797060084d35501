package inventory

import (
	"github.com/ordbench/ordbench/system/bus"
	"github.com/ordbench/ordbench/system/failpoint"
)

// The failpoints of the service, each between two steps.
var (
	beforeCommit      = failpoint.At("inventory.before-commit")
	afterCommit       = failpoint.At("inventory.after-commit")
	beforeCompensated = failpoint.At("inventory.compensation.before-commit")
	afterCompensated  = failpoint.At("inventory.compensation.after-commit")

	asidePoints    = bus.AsidePointsOf("inventory")
	consumerPoints = bus.ConsumerPointsOf("inventory")
	relayPoints    = bus.RelayPointsOf("inventory")
)

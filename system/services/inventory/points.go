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

	beforePrepare = failpoint.At("inventory.2pc.before-prepare")
	afterPrepare  = failpoint.At("inventory.2pc.after-prepare")
	beforeOutcome = failpoint.At("inventory.2pc.before-commit")
	afterOutcome  = failpoint.At("inventory.2pc.after-commit")
	beforeAbort   = failpoint.At("inventory.2pc.before-abort")
	afterAbort    = failpoint.At("inventory.2pc.after-abort")

	asidePoints    = bus.AsidePointsOf("inventory")
	consumerPoints = bus.ConsumerPointsOf("inventory")
	relayPoints    = bus.RelayPointsOf("inventory")
)

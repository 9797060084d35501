package payment

import (
	"github.com/ordbench/ordbench/system/bus"
	"github.com/ordbench/ordbench/system/failpoint"
)

// The failpoints of the service, each between two steps.
var (
	beforeCharge = failpoint.At("payment.before-charge")
	afterCharge  = failpoint.At("payment.after-charge")
	beforeCommit = failpoint.At("payment.before-commit")
	afterCommit  = failpoint.At("payment.after-commit")

	beforeRefunded = failpoint.At("payment.refund.before-commit")
	afterRefunded  = failpoint.At("payment.refund.after-commit")

	asidePoints    = bus.AsidePointsOf("payment")
	consumerPoints = bus.ConsumerPointsOf("payment")
	relayPoints    = bus.RelayPointsOf("payment")
)

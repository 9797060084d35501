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

	afterAuthorise = failpoint.At("payment.2pc.after-authorise")
	afterPrepare   = failpoint.At("payment.2pc.after-prepare")
	beforeOutcome  = failpoint.At("payment.2pc.before-commit")
	afterCapture   = failpoint.At("payment.2pc.after-capture")
	afterOutcome   = failpoint.At("payment.2pc.after-commit")
	beforeAbort    = failpoint.At("payment.2pc.before-abort")
	afterVoid      = failpoint.At("payment.2pc.after-void")
	beforeRefunded = failpoint.At("payment.refund.before-commit")
	afterRefunded  = failpoint.At("payment.refund.after-commit")

	asidePoints    = bus.AsidePointsOf("payment")
	consumerPoints = bus.ConsumerPointsOf("payment")
	relayPoints    = bus.RelayPointsOf("payment")
)

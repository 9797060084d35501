package notification

import (
	"github.com/ordbench/ordbench/system/bus"
	"github.com/ordbench/ordbench/system/failpoint"
)

// The failpoints of the service, each between two steps.
var (
	beforeCommit = failpoint.At("notification.before-commit")
	afterCommit  = failpoint.At("notification.after-commit")

	asidePoints    = bus.AsidePointsOf("notification")
	consumerPoints = bus.ConsumerPointsOf("notification")
)

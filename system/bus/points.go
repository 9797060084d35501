package bus

import "github.com/ordbench/ordbench/system/failpoint"

// ConsumerPoints are the failpoints of a consumer.
type ConsumerPoints struct {
	BeforeOffsetCommit, AfterOffsetCommit *failpoint.Point
}

// ConsumerPointsOf are those of a component.
func ConsumerPointsOf(component string) ConsumerPoints {
	return ConsumerPoints{
		BeforeOffsetCommit: failpoint.At(component + ".before-offset-commit"),
		AfterOffsetCommit:  failpoint.At(component + ".after-offset-commit"),
	}
}

// RelayPoints are the failpoints of a relay.
type RelayPoints struct {
	BeforePublish, AfterPublish, AfterMark *failpoint.Point
}

// RelayPointsOf are those of a component.
func RelayPointsOf(component string) RelayPoints {
	return RelayPoints{
		BeforePublish: failpoint.At(component + ".relay.before-publish"),
		AfterPublish:  failpoint.At(component + ".relay.after-publish"),
		AfterMark:     failpoint.At(component + ".relay.after-mark"),
	}
}

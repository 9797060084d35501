// Package loadgen drives a target in an open loop: attempts are sent when
// they are due, whatever became of those before. Call New with a Plan, a
// Workload and an Engine, then Run; Snapshot and the Report say what happened.
//
// The invariant is the account: scheduled = ok + rejected + error + timeout
// + dropped + unfinished, at every phase, operation and moment of rest; and
// time counts from when an attempt was due, not from when it was sent.
package loadgen

// Package machine looks at the machine for what a runtime or a fault needs of
// it. It only looks: nothing is made, changed, loaded or started.
package machine

import "strings"

// State is how far a need is met.
type State string

// The states of a need.
const (
	OK      State = "ok"
	Limited State = "limited" // it works, with less
	Missing State = "missing" // it does not work without
)

// Finding is one need and what was found.
type Finding struct {
	Need   string `json:"need"` // "memory"
	State  State  `json:"state"`
	Detail string `json:"detail"`           // what was seen
	Remedy string `json:"remedy,omitempty"` // how to get what is missing
}

// Lacks names what is missing among the findings, "" if nothing is.
func Lacks(found []Finding) string {
	var names []string
	for _, f := range found {
		if f.State == Missing {
			names = append(names, f.Need)
		}
	}
	return strings.Join(names, ", ")
}

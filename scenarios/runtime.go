package scenarios

import (
	"fmt"

	"github.com/ordbench/ordbench/chaos"
	"github.com/ordbench/ordbench/system"
)

// CheckOn says which planned faults of the scenario can't be made on a runtime
// of this machine. What a nemesis draws is left out there.
func (s *Scenario) CheckOn(runtime string) []*chaos.UsageError {
	var problems []*chaos.UsageError
	for _, f := range s.Chaos {
		p := f.CheckOn(runtime)
		if p == nil {
			p = f.CheckVolume(func(component string) int64 { return s.System.VolumeSize(system.Component(component)) })
		}
		if p != nil {
			named := *p
			named.Message = fmt.Sprintf("fault %s: %s", f.Name, p.Message)
			problems = append(problems, &named)
		}
	}
	return problems
}

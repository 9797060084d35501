package scenarios

import (
	"fmt"

	"github.com/ordbench/ordbench/chaos"
)

// CheckOn says which planned faults of the scenario can't be made on a runtime
// of this machine. What a nemesis draws is left out there.
func (s *Scenario) CheckOn(runtime string) []*chaos.UsageError {
	var problems []*chaos.UsageError
	for _, f := range s.Chaos {
		if p := f.CheckOn(runtime); p != nil {
			named := *p
			named.Message = fmt.Sprintf("fault %s: %s", f.Name, p.Message)
			problems = append(problems, &named)
		}
	}
	return problems
}

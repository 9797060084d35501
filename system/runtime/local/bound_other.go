//go:build unix && !linux

package local

import (
	"errors"
	"slices"
	"strings"
	"syscall"

	"github.com/shirou/gopsutil/v4/process"
)

// bound gives a child a process group of its own. These systems don't tie it
// to its parent: the lease does, unless the child stands still.
func bound() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// On these systems niceness belongs to the whole process, so none stands back.
const niceness, lastNiceness = 0, 0

func yield(int) {}

// stoppedInTable tells whether c stands still.
func stoppedInTable(c *child) (stopped bool, state string, err error) {
	if c.table == nil {
		return false, "", errors.New("the process table is not readable")
	}
	states, err := c.table.Status()
	if err != nil {
		return false, "", err
	}
	return slices.Contains(states, process.Stop), strings.Join(states, " "), nil
}

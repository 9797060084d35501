package local

import (
	"runtime"

	"github.com/ordbench/ordbench/system/runtime/machine"
)

// What a stack of processes takes at most, with twenty consumers.
const (
	stackMemory = 1 << 30
	stackDisk   = 1 << 30
	stackFiles  = 4096
)

// Examine says what this runtime needs, with its data below dir, and what of
// it this machine has. It makes nothing.
func (Runtime) Examine(dir string) []machine.Finding {
	return []machine.Finding{
		processes(), machine.Loopback(), machine.Files(stackFiles), machine.Cores(), machine.Memory(stackMemory),
		machine.Disk("data", dir, stackDisk),
	}
}

// processes is what children are bound to this process with.
func processes() machine.Finding {
	if runtime.GOOS == "linux" {
		return machine.Finding{Need: "processes", State: machine.OK, Detail: "the kernel ends the children of a killed ordbench"}
	}
	return machine.Finding{Need: "processes", State: machine.Limited, Detail: runtime.GOOS + ": a paused child outlives a killed ordbench", Remedy: "only Linux is tested"}
}

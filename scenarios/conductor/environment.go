package conductor

import (
	"runtime"

	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/host"
	"github.com/shirou/gopsutil/v4/mem"

	"github.com/ordbench/ordbench/reports"
)

// environment describes the machine and the build. What the machine does not
// tell stays empty.
func environment(version string, components map[string]string) reports.Environment {
	env := reports.Environment{
		Version:    version,
		GoVersion:  runtime.Version(),
		OS:         runtime.GOOS,
		Arch:       runtime.GOARCH,
		CPUs:       runtime.NumCPU(),
		Components: components,
	}
	if kernel, err := host.KernelVersion(); err == nil {
		env.Kernel = kernel
	}
	if infos, err := cpu.Info(); err == nil && len(infos) > 0 {
		env.CPUModel = infos[0].ModelName
	}
	if vm, err := mem.VirtualMemory(); err == nil {
		env.MemoryBytes = vm.Total
	}
	return env
}

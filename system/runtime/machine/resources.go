package machine

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"

	"github.com/shirou/gopsutil/v4/disk"
	"github.com/shirou/gopsutil/v4/mem"
)

// Cores are the processors of this machine: load, system and observers share
// them.
func Cores() Finding {
	f := Finding{Need: "cores", State: OK, Detail: fmt.Sprint(runtime.NumCPU())}
	if runtime.NumCPU() < 2 {
		f.State, f.Remedy = Limited, "with 2 or more the load does not wait for the system that it drives"
	}
	return f
}

// Memory is what can still be had, against what a stack takes.
func Memory(need uint64) Finding {
	f := Finding{Need: "memory", State: OK}
	vm, err := mem.VirtualMemory()
	if err != nil {
		return Finding{Need: f.Need, State: Limited, Detail: err.Error()}
	}
	f.Detail = fmt.Sprintf("%s of %s are free; a stack takes up to %s", size(vm.Available), size(vm.Total), size(need))
	if vm.Available < need {
		f.State, f.Remedy = Limited, "fewer replicas take less: --set system.inventory.replicas.max=5"
	}
	return f
}

// Disk is the space left for whom, below dir or what will hold it.
func Disk(whom, dir string, need uint64) Finding {
	f := Finding{Need: "disk for " + whom, State: OK}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Finding{Need: f.Need, State: Missing, Detail: err.Error()}
	}
	for {
		if _, err := os.Stat(dir); err == nil || dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	usage, err := disk.Usage(dir)
	if err != nil {
		return Finding{Need: f.Need, State: Limited, Detail: err.Error()}
	}
	f.Detail = fmt.Sprintf("%s are free at %s", size(usage.Free), dir)
	if usage.Free < need {
		f.State, f.Remedy = Limited, fmt.Sprintf("a long run writes up to %s", size(need))
	}
	return f
}

// Loopback sees that a port of the loopback interface can be listened on.
func Loopback() Finding {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return Finding{Need: "ports", State: Missing, Detail: err.Error(), Remedy: "everything listens on 127.0.0.1: bring the loopback interface up (ip link set lo up)"}
	}
	_ = l.Close() // it was never used
	return Finding{Need: "ports", State: OK, Detail: "127.0.0.1 can be listened on"}
}

func size(n uint64) string {
	if n >= 10<<30 {
		return fmt.Sprintf("%d GiB", n>>30)
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}

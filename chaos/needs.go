package chaos

// What faults need of the machine.
const (
	needCPUCgroup = "a cpu cgroup to write to"
	needPrlimit   = "limits of other processes"
	needNetem     = "the kernel's netem queue (sch_netem)"
)

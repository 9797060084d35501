package chaos

// What faults need of the machine.
const (
	needCPUCgroup = "a cpu cgroup to write to"
	needPrlimit   = "limits of other processes"
)

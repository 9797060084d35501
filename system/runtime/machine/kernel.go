package machine

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Feature is something of the Linux kernel that faults are made with.
type Feature struct {
	Name   string
	option string // of the kernel's configuration
	module string
	For    string // what it is for
}

// Features lists them.
func Features() []Feature {
	return []Feature{
		{"nftables", "CONFIG_NF_TABLES", "nf_tables", "packet loss and partitions between containers"},
		{"netem", "CONFIG_NET_SCH_NETEM", "sch_netem", "delay of single packets; delays of links do without"},
		{"tbf", "CONFIG_NET_SCH_TBF", "sch_tbf", "bandwidth of an interface; bandwidth of links does without"},
		{"network namespaces", "CONFIG_NET_NS", "", "a network of its own for each container"},
	}
}

// Kernel says which features this kernel has, with what takes the right to
// use them.
func Kernel() []Finding {
	if runtime.GOOS != "linux" {
		return []Finding{{Need: "kernel", State: Limited, Detail: runtime.GOOS + ": what faults need of it is known for Linux only"}}
	}
	var release string
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		release = unix.ByteSliceToString(name.Release[:])
	}
	config := kernelConfig(release)
	var found []Finding
	for _, f := range Features() {
		found = append(found, f.look(config, filepath.Join("/lib/modules", release)))
	}
	return append(found, cgroup(), Privileges())
}

// look finds the feature in the kernel's configuration, among the modules
// that are loaded, or among those that could be.
func (f Feature) look(config map[string]string, modules string) Finding {
	found := Finding{Need: f.Name, State: OK}
	switch value := config[f.option]; {
	case value == "y":
		found.Detail = "in the kernel"
	case loaded(f.module):
		found.Detail = "module " + f.module + " is loaded"
	case f.module != "" && available(modules, f.module):
		found.Detail = "module " + f.module + " can be loaded"
	case value == "m":
		found.State, found.Detail = Limited, "module "+f.module+" is not installed"
		found.Remedy = "install the kernel's extra modules, for " + f.For
	case len(config) == 0:
		found.State, found.Detail = Limited, "not known: the kernel's configuration is not readable"
		found.Remedy = "it is for " + f.For
	default:
		found.State, found.Detail = Limited, "this kernel has none ("+f.option+" is not set)"
		found.Remedy = "another kernel, for " + f.For
	}
	return found
}

// kernelConfig is the configuration that the kernel was built with; empty
// where it can't be read.
func kernelConfig(release string) map[string]string {
	if file, err := os.Open("/proc/config.gz"); err == nil {
		defer file.Close()
		if text, err := gzip.NewReader(file); err == nil {
			return parseConfig(text)
		}
	}
	file, err := os.Open("/boot/config-" + release)
	if err != nil {
		return nil
	}
	defer file.Close()
	return parseConfig(file)
}

// parseConfig reads lines of OPTION=value; "# OPTION is not set" is none.
func parseConfig(text io.Reader) map[string]string {
	config := map[string]string{}
	for lines := bufio.NewScanner(text); lines.Scan(); {
		name, value, ok := strings.Cut(lines.Text(), "=")
		if ok && strings.HasPrefix(name, "CONFIG_") {
			config[name] = value
		}
	}
	return config
}

func loaded(module string) bool {
	if module == "" {
		return false
	}
	_, err := os.Stat("/sys/module/" + module)
	return err == nil
}

// available tells whether a module is built in or lies below dir.
func available(dir, module string) bool {
	for _, list := range []string{"modules.builtin", "modules.dep"} {
		text, err := os.ReadFile(filepath.Join(dir, list))
		if err == nil && strings.Contains(string(text), "/"+module+".ko") {
			return true
		}
	}
	return false
}

// cgroup is the control group that processors are rationed with.
func cgroup() Finding {
	f := Finding{Need: "cpu cgroup", State: OK}
	for _, row := range []struct{ file, says string }{
		{"/sys/fs/cgroup/cpu/cgroup.procs", "version 1"},
		{"/sys/fs/cgroup/cgroup.procs", "version 2"},
	} {
		if unix.Access(row.file, unix.W_OK) == nil {
			f.Detail = row.says + ", can be written to"
			return f
		}
	}
	f.State, f.Detail, f.Remedy = Limited, "none can be written to", "run as root, to limit processors"
	return f
}

// Capabilities of a process, as their numbers.
const (
	capNetAdmin = 12
	capSysAdmin = 21
)

// Privileges says what this process may do to the network and to other
// processes.
func Privileges() Finding {
	f := Finding{Need: "privileges", State: OK}
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return Finding{Need: f.Need, State: Limited, Detail: err.Error()}
	}
	set := parseCapabilities(string(text))
	var lacks []string
	for _, c := range []struct {
		name string
		bit  uint
	}{{"CAP_NET_ADMIN", capNetAdmin}, {"CAP_SYS_ADMIN", capSysAdmin}} {
		if set&(1<<c.bit) == 0 {
			lacks = append(lacks, c.name)
		}
	}
	f.Detail = fmt.Sprintf("user %d", os.Geteuid())
	if len(lacks) > 0 {
		f.State, f.Detail = Limited, f.Detail+" without "+strings.Join(lacks, " and ")
		f.Remedy = "run as root, for limits of processors and signals past the daemon"
	}
	return f
}

// parseCapabilities is the effective set of /proc/self/status, 0 if it names
// none.
func parseCapabilities(status string) uint64 {
	for line := range strings.Lines(status) {
		if hex, ok := strings.CutPrefix(line, "CapEff:"); ok {
			set, err := strconv.ParseUint(strings.TrimSpace(hex), 16, 64)
			if err != nil {
				return 0
			}
			return set
		}
	}
	return 0
}

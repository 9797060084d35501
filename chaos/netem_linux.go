package chaos

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// lackingNetem says why packets can't be delayed here, as far as the kernel's
// own files tell: "" also where they do not, and then the kernel's answer to
// the fault itself does.
func lackingNetem() string {
	if _, err := os.Stat("/sys/module/sch_netem"); err == nil {
		return ""
	}
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return ""
	}
	release := unix.ByteSliceToString(name.Release[:])
	missing := "this kernel (" + release + ") has no sch_netem: take latency on the links"
	for _, list := range []string{"modules.dep", "modules.builtin"} {
		text, err := os.ReadFile(filepath.Join("/lib/modules", release, list))
		if err == nil && bytes.Contains(text, []byte("/sch_netem.ko")) {
			return ""
		}
	}
	if config := kernelConfig(); config != nil {
		if bytes.Contains(config, []byte("\nCONFIG_NET_SCH_NETEM=y")) {
			return ""
		}
		if !bytes.Contains(config, []byte("\nCONFIG_NET_SCH_NETEM=m")) {
			return missing
		}
	}
	if _, err := os.Stat(filepath.Join("/lib/modules", release, "modules.dep")); err == nil {
		return missing
	}
	return ""
}

// kernelConfig is what the running kernel was built with; nil: it does not
// tell.
func kernelConfig() []byte {
	file, err := os.Open("/proc/config.gz")
	if err != nil {
		return nil
	}
	defer file.Close()
	unpacked, err := gzip.NewReader(file)
	if err != nil {
		return nil
	}
	text, err := io.ReadAll(unpacked)
	if err != nil {
		return nil
	}
	return text
}

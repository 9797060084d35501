//go:build !linux

package chaos

// lacking says why this machine does not have what a fault needs.
func lacking(what string) string {
	switch what {
	case needCPUCgroup, needPrlimit, needNetem:
		return "only Linux has that"
	}
	return ""
}

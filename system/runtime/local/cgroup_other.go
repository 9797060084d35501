//go:build unix && !linux

package local

// sweepGroups does nothing: these systems have no cgroups.
func sweepGroups() {}

func removeGroup(string) {}

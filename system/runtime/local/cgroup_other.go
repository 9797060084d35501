//go:build unix && !linux

package local

// Sweep does nothing: these systems have no cgroups.
func Sweep() []string { return nil }

func removeGroup(string) {}

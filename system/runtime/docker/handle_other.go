//go:build !linux

package docker

import "errors"

// handle is a hand on a process of the daemon's machine: only on Linux.
type handle struct{}

func openHandle(int, string) *handle { return nil }

func (*handle) signal(string) error { return errors.ErrUnsupported }
func (*handle) await() error        { return errors.ErrUnsupported }
func (*handle) close()              {}

func sameNetwork(string) bool { return false }

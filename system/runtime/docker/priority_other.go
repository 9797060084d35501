//go:build !linux

package docker

// goFirst does nothing here: the containers are in a machine of their own.
func goFirst() (undo func()) { return func() {} }

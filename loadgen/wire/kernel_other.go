//go:build !linux

package wire

import (
	"errors"
	"time"
)

// openKernel has no event loop to offer here; New knows.
func openKernel(time.Time) (kernel, error) { return nil, errors.ErrUnsupported }

// GoFirst does nothing here.
func GoFirst() {}

// AllGoFirst does nothing here.
func AllGoFirst() (undo func()) { return func() {} }

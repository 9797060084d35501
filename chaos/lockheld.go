package chaos

import "context"

// Locker locks databases against their services.
type Locker interface {
	// HoldLock takes the write lock of a service's database, sees that
	// nobody else gets it, and keeps it until release.
	HoldLock(ctx context.Context, component string) (detail string, release func() error, err error)
}

var lockHeld = Definition{
	Name:    "lock-held",
	Family:  DependencyFamily,
	Summary: "somebody holds the write lock of a service's database",
	Targets: keepers,
	Options: []Option{forOption},
	Example: "ordbench chaos lock-held order --for 3s",
	bind: func(e *Engine, s Spec) (act, error) {
		stack, err := means[Locker](e, "databases to lock")
		component, _ := s.component()
		var release func() error
		return act{
			places: []string{component},
			apply: func(ctx context.Context, _ string) (Sight, error) {
				detail, free, err := stack.HoldLock(ctx, component)
				release = free
				return saw("%s", detail), err
			},
			undo: func(context.Context, string) (Sight, error) {
				if release == nil {
					return Sight{}, nil
				}
				err := release()
				return saw("the lock is free"), err
			},
		}, err
	},
}

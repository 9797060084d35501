package chaos

import (
	"context"
	"slices"
)

// Filler fills the volumes of replicas, where they have a size.
type Filler interface {
	// VolumeBytes is how many bytes the volume of a replica of a component
	// holds; 0: it has no bound.
	VolumeBytes(component string) int64
	// FillVolume fills the volume of a replica until spare bytes of it are
	// left. detail is what was seen: how much is free, and what a write was
	// answered. It may be called again, and takes what has become free.
	FillVolume(ctx context.Context, replica string, spare int64) (detail string, err error)
	// ClearVolume gives the room back, and says how much is free.
	ClearVolume(ctx context.Context, replica string) (detail string, err error)
}

const diskFullName = "disk-full"

var diskFull = Definition{
	Name:    diskFullName,
	Family:  DependencyFamily,
	Summary: "no room is left to write: of a service no file gets longer, of a server the volume is full",
	Targets: append(slices.Clone(keepers), "broker", database),
	Options: []Option{
		{Name: "bytes", Kind: Bytes, Default: "4KiB", Summary: "how long a file of a service may be, or how much of a volume stays free"},
		forOption, replicasOption,
	},
	Needs: []Need{{What: needPrlimit, On: onLocal}},
	TargetsOn: map[string]Part{
		onLocal:  {Targets: keepers, Else: "the broker there has no volume of its own"},
		onDocker: {Targets: []string{"broker", database}, Else: "services keep their data in PostgreSQL there and write no files"},
	},
	Notes:   []string{"docker: the volume needs a size: system.broker.volume_size or system.database.volume_size in the scenario"},
	Example: "ordbench chaos disk-full order --for 5s",
	bind: func(e *Engine, s Spec) (act, error) {
		component, _ := s.component()
		if slices.Contains(keepers, component) {
			return limitFault("file-bytes", func(s Spec) int64 { return s.bytes("bytes") })(e, s)
		}
		return fillVolume(e, s)
	},
}

// fillVolume holds a volume full.
func fillVolume(e *Engine, s Spec) (act, error) {
	stack, err := means[Filler](e, "volumes to fill")
	if err == nil {
		if p := s.CheckVolume(stack.VolumeBytes); p != nil {
			err = p
		}
	}
	spare := s.bytes("bytes")
	return act{
		apply: func(ctx context.Context, replica string) (Sight, error) {
			detail, err := stack.FillVolume(ctx, replica, spare)
			return saw("%s", detail), err
		},
		look: func(ctx context.Context, replica string) (Sight, error) {
			_, err := stack.FillVolume(ctx, replica, spare)
			return Sight{}, err
		},
		undo: func(ctx context.Context, replica string) (Sight, error) {
			detail, err := stack.ClearVolume(ctx, replica)
			return saw("%s", detail), err
		},
	}, err
}

// CheckVolume says why a valid Spec can't fill the volume of its target; nil:
// it can, or it fills none. bytes is how much the volume of a component holds,
// 0 being one without a bound.
func (s Spec) CheckVolume(bytes func(component string) int64) *UsageError {
	component, _ := s.component()
	if s.Fault != diskFullName || slices.Contains(keepers, component) {
		return nil
	}
	switch size := bytes(component); {
	case size == 0:
		return &UsageError{Field: "target", Message: "the volume of the " + component + " is as large as the disk of this machine, which is not ours to fill", Hint: "give it a size: system." + component + ".volume_size=1GiB, in the scenario or by --set"}
	case s.bytes("bytes") >= size:
		return &UsageError{Field: "bytes", Message: s.text("bytes") + " is not less than the volume holds"}
	}
	return nil
}

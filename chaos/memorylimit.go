package chaos

import (
	"context"
	"fmt"
)

// MemoryLimiter bounds the memory of replicas.
type MemoryLimiter interface {
	// LimitMemory holds a replica to so many bytes, whichever process is in
	// its place; one that uses more already is ended, and comes back under the
	// limit. detail is the limit as the kernel has it, and what is used of it;
	// met says that the limit was met, or that somebody died of it. It may be
	// called again; fresh says that this process was not seen under it before.
	LimitMemory(ctx context.Context, replica string, bytes int64) (detail string, met, fresh bool, err error)
	// FreeMemory takes the limit away.
	FreeMemory(ctx context.Context, replica string) (detail string, err error)
}

// leastMemory is what a daemon lets a container have at least.
const leastMemory = 6 << 20

var memoryLimit = Definition{
	Name:    "memory-limit",
	Family:  ResourceFamily,
	Summary: "the container gets no more than so much memory; what needs more dies of it",
	Targets: processes,
	Options: []Option{
		{Name: "bytes", Kind: Bytes, Default: "64MiB", Summary: "that it may use; what uses more already is killed, and comes back under the limit"},
		forOption, replicasOption,
	},
	NotOn:   map[string]string{onLocal: "only containers have a limit of their own; take memory, which uses it up"},
	Example: "ordbench chaos memory-limit order --bytes 32MiB --for 10s",
	check: func(s Spec) *UsageError {
		if s.bytes("bytes") < leastMemory {
			return &UsageError{Field: "bytes", Message: s.text("bytes") + " is less than the 6MiB that a container needs"}
		}
		return nil
	},
	bind: func(e *Engine, s Spec) (act, error) {
		stack, err := means[MemoryLimiter](e, "memory to limit")
		bytes := s.bytes("bytes")
		limit := func(ctx context.Context, replica string) (s Sight, fresh bool, err error) {
			detail, met, fresh, err := stack.LimitMemory(ctx, replica, bytes)
			s = saw("%s", detail)
			s.Armed = !met
			return s, fresh, err
		}
		return act{
			apply: func(ctx context.Context, replica string) (Sight, error) {
				s, _, err := limit(ctx, replica)
				return s, err
			},
			look: func(ctx context.Context, replica string) (Sight, error) {
				s, fresh, err := limit(ctx, replica)
				s.Again = fresh
				if err == nil && s.Armed && !fresh {
					return Sight{Armed: true}, fmt.Errorf("%s never wanted more: %s", replica, s.Detail)
				}
				return s, err
			},
			undo: func(ctx context.Context, replica string) (Sight, error) {
				last, _, unseen := limit(ctx, replica)
				detail, err := stack.FreeMemory(ctx, replica)
				s := saw("%s", detail)
				if unseen == nil && !last.Armed {
					s.Came = last.Detail
				}
				return s, err
			},
		}, err
	},
}

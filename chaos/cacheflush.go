package chaos

import "context"

// Flusher empties the cache.
type Flusher interface {
	// FlushCache removes every key and says how many there were.
	FlushCache(ctx context.Context) (keys int64, err error)
}

var cacheOnly = []string{"cache"}

var cacheFlush = Definition{
	Name:    "cache-flush",
	Family:  DependencyFamily,
	Summary: "every key of the cache is gone",
	Targets: cacheOnly,
	Example: "ordbench chaos cache-flush cache",
	piles:   true,
	bind: func(e *Engine, _ Spec) (act, error) {
		stack, err := means[Flusher](e, "cache to flush")
		return act{
			apply: func(ctx context.Context, _ string) (Sight, error) {
				keys, err := stack.FlushCache(ctx)
				return saw("%d keys are gone", keys), err
			},
		}, err
	},
}

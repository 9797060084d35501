package chaos

import (
	"context"
	"fmt"
)

// CPULimiter takes processor time away from replicas.
type CPULimiter interface {
	// LimitCPU holds a replica to so many cores, whichever process is in its
	// place, and says how often it was throttled since. It may be called
	// again; fresh says that it was not limited before.
	LimitCPU(ctx context.Context, replica string, cores float64) (throttled int64, fresh bool, err error)
	// FreeCPU takes the limit away.
	FreeCPU(ctx context.Context, replica string) error
}

var cpuLimit = Definition{
	Name:    "cpu-limit",
	Family:  ResourceFamily,
	Summary: "the process gets no more than so many cores",
	Targets: processes,
	Options: []Option{
		{Name: "cores", Kind: Cores, Default: "0.1", Summary: "that it may use"},
		forOption, replicasOption,
	},
	Needs:   []Need{{What: needCPUCgroup, On: onLocal}},
	Example: "ordbench chaos cpu-limit inventory --cores 0.2 --for 10s",
	bind: func(e *Engine, s Spec) (act, error) {
		stack, err := means[CPULimiter](e, "processors to ration")
		cores := s.cores("cores")
		return act{
			apply: func(ctx context.Context, replica string) (Sight, error) {
				_, _, err := stack.LimitCPU(ctx, replica, cores)
				s := saw("held to %g cores", cores)
				s.Armed = true
				return s, err
			},
			look: func(ctx context.Context, replica string) (Sight, error) {
				throttled, fresh, err := stack.LimitCPU(ctx, replica, cores)
				switch {
				case err != nil:
					return Sight{}, err
				case fresh:
					s := saw("held to %g cores again: it had started anew", cores)
					s.Again, s.Armed = true, true
					return s, nil
				case throttled == 0:
					return Sight{Armed: true}, fmt.Errorf("%s never wanted more than %g cores", replica, cores)
				}
				return saw("%s", periods(throttled)), nil
			},
			undo: func(ctx context.Context, replica string) (Sight, error) {
				throttled, _, _ := stack.LimitCPU(ctx, replica, cores) // one that is gone has nothing to tell
				err := stack.FreeCPU(ctx, replica)
				s := saw("free again")
				if throttled > 0 {
					s.Came = periods(throttled)
				}
				return s, err
			},
		}, err
	},
}

func periods(throttled int64) string {
	return fmt.Sprintf("throttled in %d periods of 100 ms", throttled)
}

package chaos

import (
	"context"
	"slices"
)

// Shrink finds a smallest part of a schedule that still fails: no fault of it
// can be left out. It is the delta debugging of Zeller and Hildebrandt: leave
// out halves, then quarters, and so on, and begin anew with what still fails.
// fails plays a part of the schedule, in order; its error ends the search with
// the smallest part so far.
func Shrink(ctx context.Context, schedule []Timed, fails func(context.Context, []Timed) (bool, error)) ([]Timed, error) {
	now := slices.Clone(schedule)
	for parts := 2; len(now) > 1; {
		smaller := false
		size := (len(now) + parts - 1) / parts
		for from := 0; from < len(now); from += size {
			rest := slices.Concat(now[:from], now[min(from+size, len(now)):])
			if len(rest) == 0 {
				continue
			}
			failed, err := fails(ctx, rest)
			if err != nil {
				return now, err
			}
			if failed {
				now, smaller = rest, true
				break
			}
		}
		switch {
		case smaller:
			parts = max(parts-1, 2)
		case parts >= len(now):
			return now, nil
		default:
			parts = min(2*parts, len(now))
		}
	}
	return now, nil
}

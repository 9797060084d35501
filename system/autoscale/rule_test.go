package autoscale

import (
	"slices"
	"testing"
	"time"
)

func TestWish(t *testing.T) {
	spread := func(total int64, partitions int) []int64 {
		lag := make([]int64, partitions)
		for i := range lag {
			lag[i] = total / int64(partitions)
		}
		lag[0] += total % int64(partitions)
		return lag
	}
	rule := Rule{Min: 1, Max: 20, Threshold: 100}
	for _, c := range []struct {
		name string
		rule Rule
		lag  []int64
		want int
	}{
		{"no lag asks for the minimum", rule, spread(0, 40), 1},
		{"no partitions ask for the minimum", rule, nil, 1},
		{"one message asks for one replica", rule, spread(1, 40), 1},
		{"a full threshold is one replica", rule, spread(100, 40), 1},
		{"one message more is the next replica", rule, spread(101, 40), 2},
		{"a part of a threshold counts as a whole", rule, spread(1901, 40), 20},
		{"the maximum bounds", rule, spread(100_000, 40), 20},
		{"the minimum bounds", Rule{Min: 3, Max: 20, Threshold: 100}, spread(100, 40), 3},
		{"a zero minimum scales to zero", Rule{Min: 0, Max: 20, Threshold: 100}, spread(0, 40), 0},
		{"partitions bound the consumers", rule, spread(5000, 8), 8},
		{"lag that fills every partition asks for all", rule, spread(800, 8), 8},
		{"the floor before the cap lets one more through", rule, spread(801, 8), 9},
		{"up to the next whole threshold", rule, spread(899, 8), 9},
		{"and not beyond it", rule, spread(900, 8), 8},
		{"one lagging partition counts like the sum", rule, []int64{0, 450, 0, 0, 0, 0}, 5},
		{"a negative lag is no credit", rule, []int64{-500, 250, 0}, 3},
		{"a lag as large as the log can be", rule, []int64{1 << 61, 1 << 61}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.rule.Wish(c.lag); got != c.want {
				t.Errorf("%d, want %d", got, c.want)
			}
		})
	}
}

func TestDecide(t *testing.T) {
	type poll struct {
		after time.Duration // since the poll before
		lag   int64
	}
	rule := Rule{Min: 1, Max: 20, Threshold: 100, StabilizationWindow: 30 * time.Second}
	for _, c := range []struct {
		name    string
		rule    Rule
		current int
		polls   []poll
		want    []int
	}{
		{"steps up double, four at least", rule, 1,
			[]poll{{0, 4000}, {1, 4000}, {1, 4000}, {1, 4000}}, []int{4, 8, 16, 20}},
		{"a small wish is met at once", rule, 1, []poll{{0, 250}}, []int{3}},
		{"a steady wish stays", rule, 3, []poll{{0, 250}, {5, 250}, {40, 250}}, []int{3, 3, 3}},
		{"down only when the window has passed", rule, 1,
			[]poll{{0, 400}, {10, 0}, {20, 0}, {1, 0}}, []int{4, 4, 4, 1}},
		{"down to the highest wish in the window", rule, 1,
			[]poll{{0, 400}, {10, 300}, {10, 0}, {11, 0}, {10, 0}}, []int{4, 4, 4, 3, 1}},
		{"a new wish for more starts the window again", rule, 1,
			[]poll{{0, 400}, {25, 0}, {1, 400}, {25, 0}, {6, 0}}, []int{4, 4, 4, 4, 1}},
		{"an old wish that the step limit cut does not drive up later", rule, 1,
			[]poll{{0, 4000}, {1, 0}}, []int{4, 4}},
		{"from zero to four at most", Rule{Min: 0, Max: 20, Threshold: 100}, 0, []poll{{0, 4000}}, []int{4}},
		{"without a window it follows at once", Rule{Min: 1, Max: 20, Threshold: 100}, 1,
			[]poll{{0, 400}, {1, 0}}, []int{4, 1}},
		{"more than the maximum comes down to it", Rule{Min: 1, Max: 2, Threshold: 100}, 5, []poll{{0, 4000}}, []int{2}},
		{"fewer than the minimum go up to it", Rule{Min: 3, Max: 9, Threshold: 100}, 1, []poll{{0, 0}}, []int{3}},
	} {
		t.Run(c.name, func(t *testing.T) {
			scaler := Scaler{Rule: c.rule}
			now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			current := c.current
			var got []int
			for _, p := range c.polls {
				now = now.Add(p.after * time.Second)
				lag := make([]int64, 40)
				lag[7] = p.lag
				current = scaler.Decide(now, lag, current)
				got = append(got, current)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

func TestDecisionsOfAnyTimelineKeepTheBounds(t *testing.T) {
	rule := Rule{Min: 2, Max: 11, Threshold: 10, StabilizationWindow: 5 * time.Second}
	for seed := range uint64(200) {
		scaler := Scaler{Rule: rule}
		now := time.Unix(0, 0)
		current, x := 2, seed*2654435761+1
		for range 100 {
			x ^= x << 13
			x ^= x >> 7
			x ^= x << 17
			now = now.Add(time.Duration(x%3000) * time.Millisecond)
			next := scaler.Decide(now, []int64{int64(x % 97), int64(x % 61)}, current)
			if next < rule.Min || next > rule.Max || next > rule.limit(current) {
				t.Fatalf("seed %d: from %d to %d", seed, current, next)
			}
			current = next
		}
	}
}

package reports

import (
	"math"
	"strings"
)

// bars are the heights of a sparkline; the lowest is zero.
var bars = []rune("▁▂▃▄▅▆▇█")

// step is a value that holds from a moment on.
type step struct {
	atMS  int64
	value int64
}

// sparkline draws the steps over a span of time in a number of characters:
// the highest value of each slice, blank before the first, zero to the
// highest of all.
func sparkline(steps []step, startMS, endMS int64, width int) string {
	if len(steps) == 0 || width < 1 || endMS <= startMS {
		return ""
	}
	var top int64
	for _, s := range steps {
		top = max(top, s.value)
	}
	var line strings.Builder
	next, held := 0, int64(-1)
	for i := range width {
		until := startMS + int64(float64(endMS-startMS)*float64(i+1)/float64(width))
		highest := held
		for next < len(steps) && (steps[next].atMS < until || i == width-1) {
			held = steps[next].value
			highest = max(highest, held)
			next++
		}
		switch {
		case highest < 0:
			line.WriteByte(' ')
		case top == 0:
			line.WriteRune(bars[0])
		default:
			level := math.Ceil(float64(highest) / float64(top) * float64(len(bars)-1)) // anything above zero shows
			line.WriteRune(bars[int(level)])
		}
	}
	return line.String()
}

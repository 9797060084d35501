package reports

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// The units of values in a result.
const (
	UnitMS        = "ms"
	UnitCount     = "count"
	UnitShare     = "share" // 0.01 is 1%
	UnitPerSecond = "per_s"
)

// FormatValue renders a value for people, by its unit: "250ms", "1%".
func FormatValue(value float64, unit string) string {
	switch unit {
	case UnitMS:
		return formatMS(value)
	case UnitShare:
		return decimal(value*100, 3) + "%"
	case UnitPerSecond:
		return decimal(value, 2) + "/s"
	default:
		return decimal(value, 3)
	}
}

// formatMS renders milliseconds, from a second on as a duration.
func formatMS(ms float64) string {
	d := time.Duration(ms * float64(time.Millisecond))
	if d.Abs() >= time.Second {
		return d.Round(10 * time.Millisecond).String()
	}
	return decimal(ms, 2) + "ms"
}

// seconds renders a moment of the run, "18.2s".
func seconds(ms int64) string { return fmt.Sprintf("%.1fs", float64(ms)/1000) }

// took renders a duration that may not have ended.
func took(ms int64) string {
	if ms < 0 {
		return "no"
	}
	return formatMS(float64(ms))
}

// decimal renders a number with at most that many decimals.
func decimal(value float64, decimals int) string {
	s := strconv.FormatFloat(value, 'f', decimals, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// number renders a count with its thousands apart: 14,900.
func number[T int | int64 | uint64](n T) string {
	s := strconv.FormatInt(int64(n), 10)
	sign := ""
	if s[0] == '-' {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

// clean makes a text fit for one line of a terminal: what a component wrote
// must not move the cursor.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case unicode.IsControl(r):
			return -1
		}
		return r
	}, s)
}

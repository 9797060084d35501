package scenarios

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/ordbench/ordbench/chaos"
)

// The bounds of a scenario, wide enough for any machine; beyond them a value
// is a slip of the finger.
const (
	fastest = 1e6         // arrivals per second
	slowest = 1.0 / 86400 // arrivals per second
	longest = 24 * time.Hour
)

// duration is a time between two bounds.
func duration(to *time.Duration, least, most time.Duration) value {
	return value{to, "a duration such as 5s", func(s string) *wrong {
		d, w := parseDuration(s)
		switch {
		case w != nil:
			return w
		case d < least && least <= time.Nanosecond && least > 0:
			return wrongf("", "%q must be more than 0", s)
		case d < least || d > most:
			return wrongf("", "%q is out of range; want %s to %s", s, short(least), short(most))
		}
		*to = d
		return nil
	}, func() string { return short(*to) }}
}

func parseDuration(s string) (time.Duration, *wrong) {
	d, err := time.ParseDuration(s)
	switch {
	case err != nil && plain.MatchString(s):
		return 0, wrongf(fmt.Sprintf("write %ss or %sms", s, s), "%q is a duration without a unit", s)
	case err != nil:
		return 0, wrongf("write 250ms, 5s or 1m30s", "%q is not a duration", s)
	case d < 0:
		return 0, wrongf("", "%q is negative", s)
	}
	return d, nil
}

// short prints a duration without the zeros that Duration.String adds: "1m",
// not "1m0s".
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

var (
	plain    = regexp.MustCompile(`^[0-9]{1,18}(\.[0-9]{1,15})?$`)
	perUnit  = regexp.MustCompile(`^(-?[0-9]{1,18}(?:\.[0-9]{1,30})?) ?/ ?([a-z]+)$`)
	percents = regexp.MustCompile(`^(-?[0-9]{1,9}(?:\.[0-9]{1,6})?) ?%$`)
)

// units is what a rate can be per, and units' names in the order to try.
var units = map[string]time.Duration{"s": time.Second, "min": time.Minute, "h": time.Hour}

// parseRate reads "50/s" or "100/min", in arrivals per second.
func parseRate(s string) (float64, *wrong) {
	m := perUnit.FindStringSubmatch(s)
	if m == nil {
		hint := "write 50/s or 100/min"
		if plain.MatchString(s) {
			hint = fmt.Sprintf("write %s/s", s)
		}
		return 0, wrongf(hint, "%q is not a rate", s)
	}
	per, known := units[m[2]]
	n, err := strconv.ParseFloat(m[1], 64)
	rate := n / per.Seconds()
	switch {
	case !known:
		return 0, wrongf("write /s, /min or /h", "%q is not a rate: unknown unit %q", s, m[2])
	case err != nil:
		return 0, wrongf("write 50/s or 100/min", "%q is not a rate", s)
	case n < 0:
		return 0, wrongf("", "%q is a negative rate", s)
	case n > 0 && rate < slowest:
		return 0, wrongf("", "%q is less than one arrival a day", s)
	case rate > fastest:
		return 0, wrongf(fmt.Sprintf("at most %.0f/s", fastest), "%q is beyond any machine", s)
	}
	return rate, nil
}

// formatRate prints a rate in the first unit in which it is a whole number,
// and else in full, such that parsing it again gives the same rate.
func formatRate(rate float64) string {
	for _, unit := range []string{"s", "min", "h"} {
		n := math.Round(rate * units[unit].Seconds())
		if n/units[unit].Seconds() == rate {
			return fmt.Sprintf("%.0f/%s", n, unit)
		}
	}
	return strconv.FormatFloat(rate, 'f', -1, 64) + "/s"
}

// rateOf is the rate of a phase: "50/s", or "100/s..1000/s" for a ramp.
func rateOf(p *Phase) value {
	return value{&p.Rate, "a rate such as 50/s, or 100/s..1000/s", func(s string) *wrong {
		from, to, ramp := strings.Cut(s, "..")
		var w *wrong
		if ramp && (from == "" || to == "") {
			return wrongf("write 100/s..1000/s", "%q is half a ramp", s)
		}
		if p.Rate, w = parseRate(from); w != nil {
			if _, again := parseRate(to); ramp && again == nil && plain.MatchString(from) {
				_, unit, _ := strings.Cut(to, "/")
				w.hint = fmt.Sprintf("write %s/%s..%s", from, unit, to)
			}
			return w
		}
		if p.RateTo = p.Rate; ramp {
			p.RateTo, w = parseRate(to)
		}
		return w
	}, func() string {
		if p.RateTo != p.Rate {
			return formatRate(p.Rate) + ".." + formatRate(p.RateTo)
		}
		return formatRate(p.Rate)
	}}
}

// rate is one rate of a list of steps.
func rate(to *float64) value {
	return value{to, "a rate such as 50/s", func(s string) *wrong {
		var w *wrong
		*to, w = parseRate(s)
		return w
	}, func() string { return formatRate(*to) }}
}

// size is a number of bytes between two bounds, or off.
func size(to *int64, least, most int64) value {
	return value{to, "a size such as 256MiB, or off", func(s string) *wrong {
		if s == "off" || s == "false" || s == "no" {
			*to = 0
			return nil
		}
		n, err := chaos.ParseBytes(s)
		switch {
		case err != nil:
			return wrongf("write 256MiB or 1GiB", "%q is not a size", s)
		case n < least || n > most:
			return wrongf("", "%q is out of range; want %s to %s", s, formatSize(least), formatSize(most))
		}
		*to = n
		return nil
	}, func() string { return formatSize(*to) }}
}

// formatSize prints bytes in the largest unit in which they are a whole number.
func formatSize(n int64) string {
	for _, unit := range []struct {
		name  string
		bytes int64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n%unit.bytes == 0 {
			return fmt.Sprintf("%d%s", n/unit.bytes, unit.name)
		}
	}
	return fmt.Sprint(n)
}

// limit is a number of requests per unit of time, or off.
func limit(requests *int, per *time.Duration) value {
	return value{requests, "a limit such as 100/min, or off", func(s string) *wrong {
		if s == "off" || s == "false" || s == "no" {
			*requests = 0
			return nil
		}
		m := perUnit.FindStringSubmatch(s)
		if m == nil || units[m[2]] == 0 {
			return wrongf("write 100/min, 10/s or off", "%q is not a limit", s)
		}
		n, err := strconv.Atoi(m[1])
		if err != nil || n <= 0 || n > fastest {
			return wrongf("write off for none", "%q: want a whole number above 0 before the slash", s)
		}
		*requests, *per = n, units[m[2]]
		return nil
	}, func() string {
		if *requests == 0 {
			return "off"
		}
		for name, unit := range units {
			if unit == *per {
				return fmt.Sprintf("%d/%s", *requests, name)
			}
		}
		return fmt.Sprintf("%d/s", int(math.Ceil(float64(*requests)/per.Seconds())))
	}}
}

// parseShare reads "80%" as 0.8.
func parseShare(s string) (float64, *wrong) {
	m := percents.FindStringSubmatch(s)
	if m == nil {
		hint := "write 80%"
		if plain.MatchString(s) {
			hint = fmt.Sprintf("write %s%%", s)
		}
		return 0, wrongf(hint, "%q is not a percentage", s)
	}
	n, err := strconv.ParseFloat(m[1], 64)
	if err != nil || n < 0 || n > 100 {
		return 0, wrongf("0% to 100%", "%q is an impossible percentage", s)
	}
	return math.Round(n*1e6) / 1e8, nil // the fraction that is nearest to what was written
}

func formatShare(share float64) string {
	return strconv.FormatFloat(math.Round(share*1e8)/1e6, 'f', -1, 64) + "%"
}

// share is a part of a whole, "2%".
func share(to *float64) value {
	return value{to, "a share such as 2%", func(s string) *wrong {
		var w *wrong
		*to, w = parseShare(s)
		return w
	}, func() string { return formatShare(*to) }}
}

// parseAt reads "spike+3s", "spike" or "10s". Phases begin with a letter and
// durations with a digit, so that the two can't be mistaken.
func parseAt(s string) (At, *wrong) {
	if s != "" && (s[0] >= '0' && s[0] <= '9' || s[0] == '.' || s[0] == '-' || s[0] == '+') {
		offset, w := parseDuration(s)
		return At{Offset: offset}, w
	}
	phase, rest, plus := strings.Cut(s, "+")
	at := At{Phase: strings.TrimSpace(phase)}
	if !plus {
		return at, nil
	}
	var w *wrong
	at.Offset, w = parseDuration(strings.TrimSpace(rest))
	return at, w
}

func moment(to *At) value {
	return value{to, "a moment such as spike+3s", func(s string) *wrong {
		at, w := parseAt(s)
		if w == nil && at.Offset > longest {
			w = wrongf("", "%q is out of range", s)
		}
		*to = at
		return w
	}, func() string { return to.String() }}
}

// sentence joins names for people: "a, b or c".
func sentence(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

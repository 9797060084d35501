package chaos

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Options are the settings of one fault as they were written, by name. What
// is not there has its default.
type Options map[string]string

// Option is a setting of a fault, by its name in a scenario; the flag of the
// command line has dashes for underscores.
type Option struct {
	Name    string   `json:"name"`
	Kind    Kind     `json:"kind"`
	Default string   `json:"default"` // "": it must be given
	Summary string   `json:"summary"`
	Words   []string `json:"words,omitempty"` // of a word: what it can be
}

// Kind is what the value of an option is.
type Kind string

// The kinds of values.
const (
	Duration Kind = "duration" // 250ms
	Offset   Kind = "offset"   // a duration that may be negative
	Count    Kind = "count"    // 3
	Share    Kind = "share"    // 25%
	Amount   Kind = "amount"   // 3, 25% or all
	Bytes    Kind = "bytes"    // 64KiB
	Rate     Kind = "rate"     // 64KiB/s
	Cores    Kind = "cores"    // 0.5
	Word     Kind = "word"     // one of Words, or any where there are none
)

// Check says what is wrong with a value of the option.
func (o Option) Check(text string) error {
	var err error
	switch o.Kind {
	case Duration, Offset:
		var d time.Duration
		d, err = time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("%q is not a duration: write 250ms, 5s or 1m30s", text)
		}
		if d < 0 && o.Kind == Duration {
			return fmt.Errorf("%q is negative", text)
		}
	case Count:
		_, err = parseCount(text)
	case Share:
		_, err = parseShare(text)
	case Amount:
		_, err = parseAmount(text, 1)
	case Bytes:
		_, err = ParseBytes(text)
	case Rate:
		_, err = parseRate(text)
	case Cores:
		var n float64
		if n, err = strconv.ParseFloat(text, 64); err != nil || !(n > 0 && n <= 1024) {
			return fmt.Errorf("%q is no number of cores: write 0.5 or 2", text)
		}
	case Word:
		switch {
		case text == "":
			return errors.New("it is empty")
		case len(o.Words) > 0 && !slices.Contains(o.Words, text):
			return fmt.Errorf("unknown %q: %s", text, suggest(text, o.Words))
		}
	}
	return err
}

func parseCount(s string) (int, error) {
	n, err := strconv.Atoi(s)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%q is not a whole number", s)
	case n < 0:
		return 0, fmt.Errorf("%d is negative", n)
	case n > 1_000_000:
		return 0, fmt.Errorf("%d is out of range", n)
	}
	return n, nil
}

func parseShare(s string) (float64, error) {
	number, ok := strings.CutSuffix(s, "%")
	n, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil || !(n > 0 && n <= 100) {
		return 0, fmt.Errorf("%q is not a share of more than 0%% to 100%%", s)
	}
	return n / 100, nil
}

// parseAmount says how many of n an amount is: at least one of any share, and
// all where it says 0 or all.
func parseAmount(s string, n int) (int, error) {
	if s == "all" || s == "" {
		return n, nil
	}
	if strings.HasSuffix(s, "%") {
		share, err := parseShare(s)
		return max(1, int(share*float64(n)+0.5)), err
	}
	count, err := parseCount(s)
	if count == 0 {
		count = n
	}
	return count, err
}

var units = []struct {
	name  string
	bytes float64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1}, {"", 1}}

// ParseBytes reads a size, "64KiB", in bytes.
func ParseBytes(s string) (int64, error) {
	for _, u := range units {
		number, ok := strings.CutSuffix(s, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(number, 64)
		if err != nil || !(n >= 0 && n <= 1<<40) {
			break
		}
		return int64(n * u.bytes), nil
	}
	return 0, fmt.Errorf("%q is no number of bytes: write 512, 64KiB or 10MB", s)
}

func parseRate(s string) (int64, error) {
	number, ok := strings.CutSuffix(s, "/s")
	n, err := ParseBytes(number)
	if !ok || err != nil || n == 0 {
		return 0, fmt.Errorf("%q is no rate: write 64KiB/s", s)
	}
	return n, nil
}

// text is the value of an option, or its default.
func (s Spec) text(name string) string {
	if v, given := s.Options[name]; given {
		return v
	}
	d, _ := Find(s.Fault)
	for _, o := range d.Options {
		if o.Name == name {
			return o.Default
		}
	}
	return ""
}

// The values of options. Validate has found them good, or they are zero.

func (s Spec) duration(name string) time.Duration {
	d, _ := time.ParseDuration(s.text(name))
	return d
}

func (s Spec) share(name string) float64 {
	f, _ := parseShare(s.text(name))
	return f
}

func (s Spec) bytes(name string) int64 {
	n, _ := ParseBytes(s.text(name))
	return n
}

func (s Spec) rate(name string) int64 {
	n, _ := parseRate(s.text(name))
	return n
}

func (s Spec) count(name string) int {
	n, _ := parseCount(s.text(name))
	return n
}

func (s Spec) cores(name string) float64 {
	n, _ := strconv.ParseFloat(s.text(name), 64)
	return n
}

// plain is the value of an option without its unit where that is not time:
// shares from 0 to 1, sizes in bytes. What takes in all there is, is "".
func (s Spec) plain(name string) string {
	d, _ := Find(s.Fault)
	o, _ := d.option(name)
	text := s.text(name)
	switch {
	case o.Kind == Share:
		return strconv.FormatFloat(s.share(name), 'f', -1, 64)
	case o.Kind == Bytes:
		return strconv.FormatInt(s.bytes(name), 10)
	case o.Kind == Word && text == "all":
		return ""
	}
	return text
}

// Replicas is how many replicas a spec asks for by number, 0 where it asks
// for all or for a share.
func Replicas(s Spec) int {
	n, _ := strconv.Atoi(s.Options["replicas"])
	return n
}

// The options that several faults have.
var (
	replicasOption  = Option{Name: "replicas", Kind: Amount, Default: "all", Summary: "how many of the component's replicas: 2, 50% or all that run"}
	forOption       = Option{Name: "for", Kind: Duration, Default: "0s", Summary: "how long; 0s lasts until it is healed"}
	directionOption = Option{Name: "direction", Kind: Word, Default: "both", Words: []string{"both", "forward", "backward"}, Summary: "forward is the way of the arrow, backward the way of the answers"}
	shareOption     = Option{Name: "share", Kind: Share, Default: "100%", Summary: "of the connections"}
)

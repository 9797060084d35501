package events

import (
	"fmt"
	"strings"
	"time"
)

// Money is an amount in cents. In JSON it is a decimal number with two
// digits after the point, and it never passes through a float.
type Money int64

// String is the amount with two digits after the point: "-12.30".
func (m Money) String() string { return formatDecimal(int64(m), 2) }

// MarshalJSON writes a JSON number.
func (m Money) MarshalJSON() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalJSON reads a JSON number; a fraction of a cent is an error.
func (m *Money) UnmarshalJSON(b []byte) error {
	cents, exact, err := parseDecimal(string(b), 2)
	if err == nil && !exact {
		err = fmt.Errorf("%s has a fraction of a cent", b)
	}
	if err != nil {
		return fmt.Errorf("amount: %w", err)
	}
	*m = Money(cents)
	return nil
}

// Timestamp is an instant in microseconds since 1970. In JSON it is a decimal
// number of seconds.
type Timestamp int64

// At is t as a Timestamp.
func At(t time.Time) Timestamp { return Timestamp(t.UnixMicro()) }

// Time is the instant in UTC.
func (t Timestamp) Time() time.Time { return time.UnixMicro(int64(t)).UTC() }

// MarshalJSON writes a JSON number of seconds.
func (t Timestamp) MarshalJSON() ([]byte, error) { return []byte(formatDecimal(int64(t), 6)), nil }

// UnmarshalJSON reads a JSON number of seconds; what is finer than a
// microsecond is cut off.
func (t *Timestamp) UnmarshalJSON(b []byte) error {
	micros, _, err := parseDecimal(string(b), 6)
	if err != nil {
		return fmt.Errorf("timestamp: %w", err)
	}
	*t = Timestamp(micros)
	return nil
}

// maxDecimal bounds what parseDecimal returns, in units of the last place.
const maxDecimal = 1 << 60

// parseDecimal reads a plain JSON number as an integer count of 10^-places;
// exact is false when digits that are not 0 were cut off.
func parseDecimal(s string, places int) (n int64, exact bool, err error) {
	digits, negative := strings.CutPrefix(s, "-")
	whole, fraction, _ := strings.Cut(digits, ".")
	if whole == "" || strings.Trim(whole+fraction, "0123456789") != "" {
		return 0, false, fmt.Errorf("%s is not a plain decimal number", s)
	}
	exact = true
	for i := range len(whole) + max(places, len(fraction)) {
		var digit byte = '0'
		if i < len(whole) {
			digit = whole[i]
		} else if i-len(whole) < len(fraction) {
			digit = fraction[i-len(whole)]
		}
		if i >= len(whole)+places {
			exact = exact && digit == '0'
			continue
		}
		if n = n*10 + int64(digit-'0'); n > maxDecimal {
			return 0, false, fmt.Errorf("%s is out of range", s)
		}
	}
	if negative {
		n = -n
	}
	return n, exact, nil
}

// formatDecimal writes n counts of 10^-places.
func formatDecimal(n int64, places int) string {
	sign := ""
	if n < 0 {
		sign, n = "-", -n
	}
	unit := int64(1)
	for range places {
		unit *= 10
	}
	return fmt.Sprintf("%s%d.%0*d", sign, n/unit, places, n%unit)
}

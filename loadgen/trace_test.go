package loadgen

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTraceIsReadFromALogOrATable(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       Trace
	}{
		{"seconds", "0\n0.5\n2\n", Trace{0, 500 * time.Millisecond, 2 * time.Second}},
		{"with units", "10ms\n1s\n1m\n", Trace{10 * time.Millisecond, time.Second, time.Minute}},
		{"at the same moment", "1\n1\n1", Trace{time.Second, time.Second, time.Second}},
		{"comments and empty lines", "# from the log of May\n\n1\n  # more\n2\n", Trace{time.Second, 2 * time.Second}},
		{"a table with a title", "time,status\n1.5,200\n2.5,500\n", Trace{1500 * time.Millisecond, 2500 * time.Millisecond}},
		{"lines of another system", "1\r\n2\r\n", Trace{time.Second, 2 * time.Second}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ReadTrace(strings.NewReader(c.text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDamagedTraceIsRefusedWithItsLine(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "no arrivals"},
		{"only comments", "# none\n", "no arrivals"},
		{"a word", "1\nsoon\n", `line 2: "soon" is not a time`},
		{"going back", "2\n1\n", "line 2: 1s is before the arrival of the line above, 2s"},
		{"before the start", "-1\n", "line 1: -1 is before the start"},
		{"after a day", "86401\n", "line 1: 86401 is after the longest phase"},
		{"no number", "1\nNaN\n", "line 2"},
		{"without end", "1\n+Inf\n", "line 2"},
		{"hexadecimal", "1\n0x10\n", "line 2"},
		{"a line without end", "1\n" + strings.Repeat("1", maxTraceLine+1), "line 2: longer than"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ReadTrace(strings.NewReader(c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

func TestTraceArrivesAsItDid(t *testing.T) {
	tr := Trace{0, time.Second, time.Second, 3 * time.Second}
	if diff := cmp.Diff([]time.Duration{0, time.Second, time.Second}, collect(t, tr, 1, 3*time.Second)); diff != "" {
		t.Error(diff)
	}
	for at, want := range map[time.Duration]float64{0: 0, 1: 1, time.Second: 1, 2 * time.Second: 3, 3 * time.Second: 3, time.Minute: 4} {
		if got := tr.Expected(at); got != want {
			t.Errorf("%g arrivals before %v, want %g", got, at, want)
		}
	}
}

// Whatever is read is in order, within a day, and reads the same when written
// down in the plainest form.
func FuzzReadTrace(f *testing.F) {
	f.Add([]byte("0\n0.5\n2\n"))
	f.Add([]byte("time,status\r\n1.5,200\r\n#x\n\n1m\n"))
	f.Add([]byte("1e3\n0x1p3\nNaN\n-0\n+Inf\n1_0\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		tr, err := ReadTrace(bytes.NewReader(text))
		if err != nil {
			return
		}
		var plain bytes.Buffer
		for i, at := range tr {
			if at < 0 || at > maxTraceTime || i > 0 && at < tr[i-1] {
				t.Fatalf("arrival %d at %v", i, at)
			}
			fmt.Fprintf(&plain, "%dns\n", at.Nanoseconds())
		}
		again, err := ReadTrace(&plain)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tr, again); diff != "" {
			t.Error(diff)
		}
	})
}

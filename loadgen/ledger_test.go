package loadgen

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var attempts = []Attempt{
	{Seq: 0, Phase: "warm-up", Due: 0, Sent: 12 * time.Microsecond, Done: time.Millisecond, Status: 202, Key: "k-0", OrderID: "o-0"},
	{Seq: 1, Phase: "steady", Due: 5 * time.Millisecond, Sent: -1, Done: 2 * time.Second, Certainty: Refuted, Key: "k-1", Reason: "no-connection"},
	{Seq: 1<<64 - 1, Phase: "a, b", Due: time.Hour, Sent: 2 * time.Hour, Done: 3 * time.Hour, Certainty: Unknown, Status: 504, Key: `"`, Reason: `say "no", twice`},
}

func write(t testing.TB, all ...Attempt) []byte {
	t.Helper()
	var out bytes.Buffer
	l := NewLedgerWriter(&out)
	for _, a := range all {
		if err := l.Write(a); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if l.Lines() != uint64(len(all)) {
		t.Fatalf("%d lines, want %d", l.Lines(), len(all))
	}
	return out.Bytes()
}

func read(text string) (all []Attempt, err error) {
	err = ReadLedger(strings.NewReader(text), func(a Attempt) error {
		all = append(all, a)
		return nil
	})
	return all, err
}

func TestLedgerGivesBackWhatWasWritten(t *testing.T) {
	text := write(t, attempts...)
	got, err := read(string(text))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(attempts, got); diff != "" {
		t.Error(diff)
	}
}

func TestLedgerIsPlainCSV(t *testing.T) {
	want := ledgerHeader + `
0,warm-up,0,12,1000,ok,202,k-0,o-0,
1,steady,5000,-1,2000000,fail,0,k-1,,no-connection
18446744073709551615,"a, b",3600000000,7200000000,10800000000,unknown,504,"""",,"say ""no"", twice"
`
	if diff := cmp.Diff(want, string(write(t, attempts...))); diff != "" {
		t.Error(diff)
	}
}

func TestDamagedLedgerIsRefusedWithItsLine(t *testing.T) {
	const good = "7,steady,1,2,3,ok,202,k,o,\n"
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "line 1: no header"},
		{"another header", "seq,phase\n", "line 1: not the header of a ledger"},
		{"cut off in the header", "seq,ph", "line 1: cut off"},
		{"cut off in a line", ledgerHeader + "\n" + good + good[:9], "line 3: cut off"},
		{"cut off before the line end", ledgerHeader + "\n" + good[:len(good)-1], "line 2: cut off"},
		{"empty line", ledgerHeader + "\n\n", `line 2: seq ""`},
		{"too few fields", ledgerHeader + "\n7,steady,1,2,3,ok,202,k,o\n", "line 2: no field reason"},
		{"too many fields", ledgerHeader + "\n7,steady,1,2,3,ok,202,k,o,,\n", "line 2: more than 10 fields"},
		{"negative number", ledgerHeader + "\n-7,steady,1,2,3,ok,202,k,o,\n", `line 2: seq "-7"`},
		{"leading zero", ledgerHeader + "\n07,steady,1,2,3,ok,202,k,o,\n", `line 2: seq "07"`},
		{"number too large", ledgerHeader + "\n18446744073709551616,steady,1,2,3,ok,202,k,o,\n", "line 2: seq"},
		{"time too large", ledgerHeader + "\n7,steady,9223372036854776,2,3,ok,202,k,o,\n", "line 2: due_us"},
		{"unknown certainty", ledgerHeader + "\n7,steady,1,2,3,maybe,202,k,o,\n", `line 2: certainty "maybe"`},
		{"status of four digits", ledgerHeader + "\n7,steady,1,2,3,ok,1000,k,o,\n", "line 2: status"},
		{"quote inside", ledgerHeader + "\n7,ste\"ady,1,2,3,ok,202,k,o,\n", "line 2: phase: quote inside"},
		{"needless quotes", ledgerHeader + "\n7,\"steady\",1,2,3,ok,202,k,o,\n", "line 2: phase: needless quotes"},
		{"quote not closed", ledgerHeader + "\n7,\"steady,1,2,3,ok,202,k,o,\n", "line 2: phase: no closing quote"},
		{"carriage return", ledgerHeader + "\n7,steady,1,2,3,ok,202,k,o,\r\n", "line 2: reason: control character"},
		{"line too long", ledgerHeader + "\n7," + strings.Repeat("x", maxLine) + "\n", "line 2: longer than"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := read(c.text)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

func TestReaderStopsAtTheErrorOfItsCaller(t *testing.T) {
	enough := errors.New("enough")
	n := 0
	err := ReadLedger(bytes.NewReader(write(t, attempts...)), func(Attempt) error { n++; return enough })
	if !errors.Is(err, enough) || n != 1 {
		t.Errorf("%d attempts, error %v; want 1, enough", n, err)
	}
}

func TestWriterRefusesWhatTheReaderWould(t *testing.T) {
	l := NewLedgerWriter(io.Discard)
	if err := l.Write(Attempt{Seq: 3, OrderID: "a\nb"}); err == nil || !strings.Contains(err.Error(), "attempt 3") {
		t.Errorf("error %v, want one of attempt 3", err)
	}
	if err := l.Write(Attempt{}); err == nil {
		t.Error("written after an error")
	}
}

func TestFullDiskIsReportedAndStays(t *testing.T) {
	full := errors.New("no space left on device")
	l := NewLedgerWriter(writerFunc(func([]byte) (int, error) { return 0, full }))
	if err := l.Write(Attempt{}); err != nil {
		t.Fatal(err) // it is in the buffer
	}
	if err := l.Flush(); !errors.Is(err, full) {
		t.Errorf("flush: %v, want %v", err, full)
	}
	if err := l.Write(Attempt{}); !errors.Is(err, full) {
		t.Errorf("write after it: %v, want %v", err, full)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func TestLedgerInAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "attempts.csv")
	l, err := CreateLedger(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Write(attempts[0]); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := ReadLedger(f, func(a Attempt) error {
		if diff := cmp.Diff(attempts[0], a); diff != "" {
			t.Error(diff)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

// Whatever the reader takes, the writer would have written: no two files mean
// the same, so nothing is read that was never an attempt.
func FuzzReadLedger(f *testing.F) {
	f.Add(write(f, attempts...))
	f.Add([]byte(ledgerHeader + "\n"))
	f.Add([]byte(ledgerHeader + "\n7,\"a,\"\"b\",-1,-1,-1,ok,0,,,\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var all []Attempt
		err := ReadLedger(bytes.NewReader(text), func(a Attempt) error {
			all = append(all, a)
			return nil
		})
		if err != nil {
			return
		}
		if again := write(t, all...); !bytes.Equal(again, text) {
			t.Errorf("read %q\nwrote %q", text, again)
		}
	})
}

// FuzzWriteLedger: whatever is written is read back.
func FuzzWriteLedger(f *testing.F) {
	f.Add(uint64(1), "steady", int64(5), uint8(1), uint16(202), "k", "o", "r")
	f.Fuzz(func(t *testing.T, seq uint64, phase string, us int64, certainty uint8, status uint16, key, order, reason string) {
		a := Attempt{
			Seq: seq, Phase: phase, Due: time.Duration(us>>11) * time.Microsecond, Sent: -1,
			Certainty: Certainty(certainty % 3), Status: int(status % 1000), Key: key, OrderID: order, Reason: reason,
		}
		a.Due = max(a.Due, -1)
		var out bytes.Buffer
		l := NewLedgerWriter(&out)
		if l.Write(a) != nil || len(phase)+len(key)+len(order)+len(reason) > maxLine/4 {
			return
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		got, err := read(out.String())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]Attempt{a}, got); diff != "" {
			t.Error(diff)
		}
	})
}

func BenchmarkLedger(b *testing.B) {
	a := Attempt{Seq: 123456, Phase: "spike", Due: 12 * time.Second, Sent: 12 * time.Second, Done: 13 * time.Second,
		Status: 202, Key: "01234567-89ab-8cde-8f01-00000001e240", OrderID: "019a1234-5678-7abc-8def-0123456789ab"}
	const lines = 1_000_000
	b.Run("write", func(b *testing.B) {
		l := NewLedgerWriter(io.Discard)
		for b.Loop() {
			if err := l.Write(a); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run(fmt.Sprint("read ", lines), func(b *testing.B) {
		all := make([]Attempt, lines)
		for i := range all {
			all[i] = a
		}
		text := write(b, all...)
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			n := 0
			if err := ReadLedger(bytes.NewReader(text), func(Attempt) error { n++; return nil }); err != nil || n != lines {
				b.Fatal(n, err)
			}
		}
		runtime.KeepAlive(text)
	})
}

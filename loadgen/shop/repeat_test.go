package shop

import (
	"testing"
	"time"

	"github.com/ordbench/ordbench/loadgen"
)

func TestCustomersRepeatWhatTheyDoNotKnow(t *testing.T) {
	s := open(t, Config{Retry: Retry{Tries: 3, After: 100 * time.Millisecond}})
	order, other := next(s, 1), &loadgen.Call{Op: ReadOrder}
	ok := loadgen.Verdict{}
	refused := loadgen.Verdict{Outcome: loadgen.Rejected, Certainty: loadgen.Refuted}
	unknown := loadgen.Verdict{Outcome: loadgen.Timeout, Certainty: loadgen.Unknown}
	for _, c := range []struct {
		name    string
		call    *loadgen.Call
		verdict loadgen.Verdict
		wait    string // Retry-After
		tries   int
		again   bool
		pause   time.Duration
	}{
		{"no answer", order, unknown, "", 1, true, 100 * time.Millisecond},
		{"no answer to the second try", order, unknown, "", 2, true, 100 * time.Millisecond},
		{"no answer to the last try", order, unknown, "", 3, false, 0},
		{"told to wait", order, unknown, "1", 1, true, time.Second},
		{"told to wait for ever", order, unknown, "86400", 1, true, longestWait},
		{"told to wait for nonsense", order, unknown, "-1 s", 1, true, 100 * time.Millisecond},
		{"accepted", order, ok, "", 1, false, 0},
		{"accepted at last", order, ok, "", 2, false, 0},
		{"refused", order, refused, "", 1, false, 0},
		{"refused, and nobody knows of the first", order, refused, "", 2, true, 100 * time.Millisecond},
		{"a read without an answer", other, unknown, "", 1, false, 0},
	} {
		r := reply(500, "")
		r.Header = func(name string) string {
			return map[string]string{"Retry-After": c.wait}[name]
		}
		if pause, again := s.Repeat(c.call, r, c.verdict, c.tries); again != c.again || pause != c.pause {
			t.Errorf("%s: again %t after %s, want %t after %s", c.name, again, pause, c.again, c.pause)
		}
	}
	if _, again := open(t, Config{}).Repeat(order, &loadgen.Reply{Failure: loadgen.TimedOut}, unknown, 1); again {
		t.Error("repeats unasked")
	}
	if _, again := s.Repeat(order, &loadgen.Reply{Failure: loadgen.TimedOut}, unknown, 1); !again {
		t.Error("a timeout has no header, and is not repeated")
	}
}

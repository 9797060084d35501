package vitals

import (
	"strings"
	"testing"
	"time"

	"github.com/ordbench/ordbench/loadgen"
)

const (
	perLook     = 100 // arrivals
	connections = 10
	maxSlip     = 50 * time.Millisecond
)

// history plays looks, each of which is changed from an even 1,000/s whose
// answers come at once, and gives the finding.
type history struct {
	j    *judge
	now  sample
	told []Limit
}

func newHistory(phases ...loadgen.Phase) *history {
	if phases == nil {
		phases = []loadgen.Phase{{Name: "p", For: time.Hour, Record: true}}
	}
	return &history{j: newJudge(Config{Plan: loadgen.Plan{Phases: phases}, Connections: connections, MaxSlip: maxSlip})}
}

func (h *history) play(looks int, change func(*sample)) *history {
	for range looks {
		s := &h.now
		s.took, s.signs = every, Signs{Busy: 0.3}
		s.pulse.At += every
		s.pulse.Due += perLook
		s.pulse.Taken = s.pulse.Due + 1 // one ahead
		s.pulse.Latest = s.pulse.At + time.Millisecond
		s.pulse.Settled = s.pulse.Due
		s.pulse.Sent = s.pulse.Due
		if change != nil {
			change(s)
		}
		if limit, ok := h.j.look(*s); ok {
			h.told = append(h.told, limit)
		}
	}
	return h
}

// The ways in which a run may go wrong.
func late(s *sample)    { s.pulse.Late += perLook / 10 }
func waited(s *sample)  { s.pulse.Waited += perLook / 10 }
func dropped(s *sample) { s.pulse.Dropped += perLook / 10 }
func starve(s *sample)  { s.signs.Delay = 0.8 }
func wear(s *sample)    { s.signs.Busy = 0.97 }
func collect(s *sample) { s.signs.Pause = every / 2 }

// hang leaves all connections with a call that is not answered.
func hang(s *sample) {
	s.pulse.Taken = s.pulse.Due - 500
	s.pulse.Latest = s.pulse.At - 500*time.Millisecond
	s.pulse.Settled = s.pulse.Taken - connections
}

// stand leaves calls that are due untaken, with connections free.
func stand(s *sample) {
	s.pulse.Taken = s.pulse.Due - 500
	s.pulse.Latest = s.pulse.At - 500*time.Millisecond
	s.pulse.Settled = s.pulse.Taken
}

func both(a, b func(*sample)) func(*sample) {
	return func(s *sample) { a(s); b(s) }
}

func TestWhoIsTheLimit(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*sample)
		want   Outcome
		cause  string
	}{
		{"nobody", nil, Valid, ""},
		{"a busy machine that does no harm", starve, Valid, ""},
		{"a busy loop that does no harm", wear, Valid, ""},
		{"calls that leave late", late, GeneratorLimited, "although a connection was free"},
		{"calls that leave late, for want of a processor", both(late, starve), GeneratorLimited, "waited for a processor 80%"},
		{"calls that leave late, for the collector", both(late, collect), GeneratorLimited, "to collect garbage"},
		{"calls that wait for a connection", waited, SystemLimited, "waited for one of 10 connections"},
		{"calls that are dropped", dropped, SystemLimited, "waited for one of 10 connections"},
		{"answers that do not come", hang, SystemLimited, "waited for one of 10 connections"},
		{"answers that come and are not read", both(hang, starve), GeneratorLimited, "waited for a processor"},
		{"more answers than the loop can read", both(hang, wear), GeneratorLimited, "was busy 97%"},
		{"calls that nobody takes", stand, GeneratorLimited, "although a connection was free"},
		{"answers that come in bursts, with a connection free now and then", both(stand, waited), SystemLimited, "waited for one of 10 connections"},
		{"both at once: the doubt wins", both(late, waited), GeneratorLimited, "although a connection was free"},
		{"looks that come late", both(waited, func(s *sample) { s.took = time.Second }), GeneratorLimited, "stood still for 900 ms"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHistory().play(20, nil).play(20, c.change).play(20, nil)
			f := h.j.finding()
			if f.Outcome != c.want || !strings.Contains(f.Reason, c.cause) {
				t.Fatalf("%s (%q), want %s (%q)", f.Outcome, f.Reason, c.want, c.cause)
			}
			if c.want == Valid {
				if f.Onset >= 0 || len(h.told) > 0 {
					t.Errorf("onset %v, told %+v", f.Onset, h.told)
				}
				return
			}
			onset := 2 * time.Second
			if known := f.Known - onset; known < 0 || known > time.Second {
				t.Errorf("known %v after the onset", known)
			}
			if off := (f.Onset - onset).Abs(); off > 500*time.Millisecond {
				t.Errorf("onset %v, want about %v", f.Onset, onset)
			}
			if len(h.told) == 0 || h.told[0].Outcome != c.want {
				t.Errorf("told %+v", h.told)
			}
		})
	}
}

func TestAHiccupIsNoLimit(t *testing.T) {
	one := func(s *sample) { s.pulse.Late += 5 }
	f := newHistory().play(300, nil).play(1, one).play(300, nil).j.finding()
	if f.Outcome != Valid {
		t.Errorf("%s: %s", f.Outcome, f.Reason)
	}
}

func TestAHiccupOfTheSystemIsNoLimit(t *testing.T) {
	one := func(s *sample) { s.pulse.Waited += perLook }
	f := newHistory().play(30, nil).play(1, one).play(30, nil).j.finding()
	if f.Outcome != Valid {
		t.Errorf("%s: %s", f.Outcome, f.Reason)
	}
}

func TestOneLateCallInMillionsIsNoLimit(t *testing.T) {
	few := func(s *sample) { s.pulse.Late += perLook / 200 }
	if f := newHistory().play(100, few).j.finding(); f.Outcome != Valid {
		t.Errorf("%s: %s", f.Outcome, f.Reason)
	}
}

func TestAHiccupDoesNotMakeAStallTheGenerators(t *testing.T) {
	f := newHistory().play(10, nil).play(20, hang).play(5, both(hang, starve)).play(20, hang).j.finding()
	if f.Outcome != SystemLimited || f.Generator == 0 {
		t.Errorf("%s: %s", f.Outcome, f.Reason)
	}
	f = newHistory().play(10, nil).play(5, hang).play(40, both(hang, starve)).play(5, hang).j.finding()
	if f.Outcome != GeneratorLimited {
		t.Errorf("%s: %s", f.Outcome, f.Reason)
	}
}

func TestAWarmUpIsNotJudged(t *testing.T) {
	h := newHistory(loadgen.Phase{Name: "warm-up", For: 2 * time.Second}, loadgen.Phase{Name: "p", For: time.Hour, Record: true})
	h.play(19, both(hang, late))
	h.now.pulse.Phase = 1
	if f := h.play(20, nil).j.finding(); f.Outcome != Valid {
		t.Errorf("%s: %s", f.Outcome, f.Reason)
	}
}

func TestALimitIsToldOnceForEachStretch(t *testing.T) {
	h := newHistory().play(10, nil).play(10, hang).play(10, nil).play(10, hang).play(10, stand)
	var told []Outcome
	for _, l := range h.told {
		told = append(told, l.Outcome)
	}
	if len(told) != 3 || told[0] != SystemLimited || told[1] != SystemLimited || told[2] != GeneratorLimited {
		t.Errorf("told %v", told)
	}
}

// The looks that would have agreed were kept away by what is told.
func TestAGeneratorThatStoodStillIsTheLimitAtOnce(t *testing.T) {
	still := func(took time.Duration) func(*sample) {
		return both(both(late, starve), func(s *sample) { s.took = took })
	}
	for took, told := range map[time.Duration]int{every: 0, sure * every: 1} {
		if h := newHistory().play(10, nil).play(1, still(took)).play(10, nil); len(h.told) != told {
			t.Errorf("a look after %v told %v", took, h.told)
		}
	}
	if h := newHistory().play(10, nil).play(5, still(time.Second)); len(h.told) != 1 {
		t.Errorf("five of them told %v", h.told)
	}
}

package capacity

import (
	"math"
	"math/rand/v2"
	"testing"
)

// play searches a system that answers, and counts the runs.
func play(t *testing.T, s *Search, holds func(factor float64) bool) (runs int) {
	t.Helper()
	for {
		f, ok := s.Next()
		if !ok {
			return runs
		}
		if f < s.Least/2 || f > s.Most {
			t.Fatalf("factor %g", f)
		}
		s.Seen(f, holds(f))
		if runs++; runs > 200 {
			t.Fatal("no end")
		}
	}
}

func TestEdgeIsFoundWhereverItIs(t *testing.T) {
	for _, edge := range []float64{0.03, 0.3, 0.99, 1, 1.01, 1.5, 7, 100, 900} {
		s := New()
		runs := play(t, s, func(f float64) bool { return f <= edge })
		held, failed := s.Edge()
		if held > edge || failed <= edge || failed/held > s.Precision*1.001 {
			t.Errorf("edge %g: held %g, failed %g", edge, held, failed)
		}
		if s.At(held).Runs != 3 || s.At(failed).Runs != 3 {
			t.Errorf("edge %g: %+v, %+v; want three runs of both", edge, s.At(held), s.At(failed))
		}
		if runs > 20 {
			t.Errorf("edge %g: %d runs", edge, runs)
		}
	}
}

func TestWithoutAnEdgeTheSearchEnds(t *testing.T) {
	s := New()
	play(t, s, func(float64) bool { return true })
	if held, failed := s.Edge(); held != s.Most || failed != 0 || s.At(held).Runs != 3 {
		t.Errorf("held %g, failed %g", held, failed)
	}
	s = New()
	if runs := play(t, s, func(float64) bool { return false }); runs > 8 {
		t.Errorf("%d runs of what never holds", runs)
	}
	if held, _ := s.Edge(); held != 0 {
		t.Errorf("held %g", held)
	}
}

// A load that holds now and then is not called held.
func TestLuckIsNotCapacity(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		s := New()
		// Certain up to 2, by a coin up to 3, hopeless above.
		play(t, s, func(f float64) bool { return f <= 2 || f <= 3 && rng.IntN(2) == 0 })
		held, failed := s.Edge()
		if tally := s.At(held); tally.Failed() || tally.Runs < 3 {
			t.Fatalf("held %g: %+v", held, tally)
		}
		if held < 1.7 || held > 3 || failed <= held {
			t.Fatalf("held %g, failed %g", held, failed)
		}
	}
}

func TestConfidence(t *testing.T) {
	for runs, want := range map[int]float64{0: 0, 1: 0.05, 3: 0.3684, 10: 0.7411} {
		if got := Confidence(runs); math.Abs(got-want) > 1e-4 {
			t.Errorf("%d runs: %g, want %g", runs, got, want)
		}
	}
}

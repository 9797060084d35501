package wire

import (
	"context"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

func TestPacerEndsWhenDue(t *testing.T) {
	for _, due := range []time.Duration{-1, 0, 1, time.Microsecond, time.Millisecond, timerSlack, 2 * timerSlack, time.Second, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			p := pacer{start: time.Now(), nap: time.Sleep}
			p.wait(t.Context(), due, nil)
			if got := time.Since(p.start); got != max(due, 0) {
				t.Errorf("ended at %v, want %v", got, due)
			}
		})
	}
}

func TestPacerSleepsAgainAfterAnInterruptedNap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		naps := 0
		p := pacer{start: time.Now(), margin: margin{most: maxSpin}, nap: func(d time.Duration) {
			naps++
			time.Sleep(d - d/2)
		}}
		p.wait(t.Context(), time.Millisecond, nil)
		if got := time.Since(p.start); got != time.Millisecond || naps < 2 || p.margin.size != 0 {
			t.Errorf("ended at %v after %d naps, margin %v", got, naps, p.margin.size)
		}
	})
}

func TestPacerEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		p := pacer{start: time.Now(), nap: time.Sleep}
		p.wait(ctx, time.Hour, nil)
		if got := time.Since(p.start); got != time.Minute {
			t.Errorf("ended at %v, want 1m", got)
		}
	})
}

func TestMarginFollowsHowLateNapsEnd(t *testing.T) {
	for _, c := range []struct {
		name     string
		late     func(*rand.Rand) time.Duration
		from, to time.Duration
	}{
		{"punctual naps leave nearly nothing to spin", func(*rand.Rand) time.Duration { return 0 }, 0, spinStep},
		{"even lateness of 0 to 40 us", func(r *rand.Rand) time.Duration { return time.Duration(r.Int64N(40_000)) }, 28 * time.Microsecond, 43 * time.Microsecond},
		{"a rare hiccup is not worth a core", func(r *rand.Rand) time.Duration {
			if r.IntN(100) == 0 {
				return 5 * time.Millisecond
			}
			return 2 * time.Microsecond
		}, 0, 15 * time.Microsecond},
		{"a machine that is always late", func(*rand.Rand) time.Duration { return time.Second }, maxSpin, maxSpin},
	} {
		t.Run(c.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 1))
			m := margin{size: maxSpin, most: maxSpin}
			var sum time.Duration
			const settled, naps = 1000, 11_000
			for i := range naps {
				m.adapt(c.late(rng))
				if m.size < 0 || m.size > maxSpin {
					t.Fatalf("margin %v, want 0 to %v", m.size, maxSpin)
				}
				if i >= settled {
					sum += m.size
				}
			}
			if mean := sum / (naps - settled); mean < c.from || mean > c.to {
				t.Errorf("margin %v on average, want %v to %v", mean, c.from, c.to)
			}
		})
	}
}

func TestSpinningIsAShareOfTheTime(t *testing.T) {
	for _, c := range []struct {
		name      string
		gap, want time.Duration // between calls, and spun before each
	}{
		{"at low rates all of the margin", time.Second, maxSpin},
		{"at high rates what its share allows", 50 * time.Microsecond, 50 * time.Microsecond / spinShare},
		{"never longer than there is to wait", 4 * time.Microsecond, 4 * time.Microsecond / spinShare},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := margin{size: maxSpin, most: maxSpin}
			const calls = 1000
			spun := time.Duration(0)
			for i := range calls {
				spun += m.grant(time.Duration(i)*c.gap, c.gap)
			}
			if got := spun / calls; got < c.want*99/100-1 || got > c.want {
				t.Errorf("%v spun per call, want %v", got, c.want)
			}
		})
	}
}

// Real naps may end late on a busy machine, but never before their time
// without a signal, and the pacer never returns early.
func TestPacerIsNeverEarly(t *testing.T) {
	p := pacer{start: time.Now(), nap: nap, margin: margin{most: maxSpin}}
	for due := time.Duration(0); due < 50*time.Millisecond; due += 700 * time.Microsecond {
		p.wait(t.Context(), due, nil)
		if now := time.Since(p.start); now < due {
			t.Fatalf("returned at %v, due at %v", now, due)
		}
	}
}

package loadgen

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func closedPlan(users int, think time.Duration, lengths ...time.Duration) Plan {
	var p Plan
	for i, length := range lengths {
		p.Phases = append(p.Phases, Phase{Name: string(rune('a' + i)), Law: Closed{Users: users, Think: think}, For: length, Record: true})
	}
	return p
}

// slow answers after the time has really passed.
func slow(service time.Duration) script {
	return script{reply: func(c *Call) Reply {
		time.Sleep(service)
		return after(c, 0, service)
	}}
}

// Four users who wait 90 ms for an answer and think for 10 ms make forty
// attempts a second: Little's law.
func TestUsersOfAClosedLoopWaitForTheirAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		report, err := play(t, t.Context(), Config{
			Plan: closedPlan(4, 10*time.Millisecond, 5*time.Second, 5*time.Second), Engine: slow(90 * time.Millisecond),
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range report.Phases {
			if n := p.Total().OK; n < 196 || n > 204 {
				t.Errorf("phase %s: %d answers, want 200", p.Name, n)
			}
		}
		for _, o := range report.Phases[0].Ops {
			if max := time.Duration(o.Response.Max()) * time.Microsecond; max > 91*time.Millisecond {
				t.Errorf("response %v: the think time must not count", max)
			}
		}
	})
}

// A stop finds users thinking, and nobody waiting in a queue.
func TestStopOfAClosedLoopDropsNobody(t *testing.T) {
	for _, think := range []time.Duration{0, 10 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			report, err := play(t, ctx, Config{Plan: closedPlan(4, think, time.Minute), Engine: slow(90 * time.Millisecond)})
			if err != nil {
				t.Fatal(err)
			}
			total := report.Total()
			if total.Dropped > 0 || total.OK < 35 {
				t.Errorf("think %v: %+v, want 35 ok or more and none dropped", think, total)
			}
		})
	}
}

func TestClosedAndOpenPhasesDoNotMix(t *testing.T) {
	for _, c := range []struct {
		name, want string
		laws       []Law
	}{
		{"no users", "0 users", []Law{Closed{}}},
		{"other users", "4 users, and 3 before", []Law{Closed{Users: 3}, Closed{Users: 4}}},
		{"open after closed", "closed and open", []Law{Closed{Users: 3}, Constant{1}}},
		{"closed after open", "closed and open", []Law{Constant{1}, Closed{Users: 3}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var p Plan
			for i, law := range c.laws {
				p.Phases = append(p.Phases, Phase{Name: string(rune('a' + i)), Law: law, For: time.Second})
			}
			if err := p.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

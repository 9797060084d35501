package chaos

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"time"
)

// Nemesis draws faults at random. The same Nemesis draws the same schedule.
type Nemesis struct {
	Faults    []Spec
	PerSecond float64 // on average
	From      time.Duration
	Until     time.Duration
	Seed      uint64
	Shortest  time.Duration // of what has a length and does not say which
	Longest   time.Duration
}

// Schedule draws the faults: exponential times between them, one of the
// faults each time, and a length. A fault that still stands on its target is
// not drawn again, and all are over when the schedule is.
func (n Nemesis) Schedule() []Timed {
	if len(n.Faults) == 0 || n.PerSecond <= 0 {
		return nil
	}
	r := rand.New(rand.NewPCG(n.Seed, 0x6e656d65736973))
	type place struct{ fault, target string }
	busy := map[place]time.Duration{} // until when each stands
	var schedule []Timed
	for at := n.From; ; {
		at += time.Duration(r.ExpFloat64() / n.PerSecond * float64(time.Second))
		if at >= n.Until {
			return schedule
		}
		pick, length := r.IntN(len(n.Faults)), n.Shortest
		if spread := n.Longest - n.Shortest; spread > 0 {
			length += time.Duration(r.Int64N(int64(spread)))
		}
		spec := n.Faults[pick]
		where := place{spec.Fault, spec.Target}
		if busy[where] > at {
			continue
		}
		at = at.Truncate(time.Millisecond)
		d, _ := Find(spec.Fault)
		if _, given := spec.Options[d.length]; d.length != "" && !given {
			spec.Options = maps.Clone(spec.Options)
			if spec.Options == nil {
				spec.Options = Options{}
			}
			length = max(10*time.Millisecond, min(length, n.Until-at)).Truncate(time.Millisecond)
			spec.Options[d.length] = length.String()
		}
		busy[where] = at + spec.For() + lookEvery
		spec.Name = fmt.Sprintf("nemesis-%d-%s", len(schedule)+1, spec.Fault)
		schedule = append(schedule, Timed{At: at, Spec: spec})
	}
}

package wire

import (
	"context"
	"time"
)

const (
	// maxSpin bounds the time that is spun before each due time: at 100 calls
	// a second it is at most one percent of a core.
	maxSpin = 100 * time.Microsecond
	// wakeUp is how long before its time a long sleep ends, and stride how
	// long before it the next one does: the last is of one to two strides.
	wakeUp = 500 * time.Microsecond
	stride = 150 * time.Microsecond
	// timerSlack is more than Go's timers are late on an idle machine: its
	// network poller rounds short waits up to a millisecond.
	timerSlack = 1500 * time.Microsecond
	// spinShare bounds what an event loop spins to one part in so many of its
	// time: where calls are always nearly due it would never sleep.
	spinShare = 4
	// spinStep is how fast the margin follows the naps.
	spinStep = 5 * time.Microsecond
)

// pacer waits for due times: with a timer while there is time, then with naps
// of the thread, and for the last microseconds, which a nap may miss, by
// spinning. The margin it spins adapts to how late naps end here.
type pacer struct {
	start  time.Time
	nap    func(time.Duration) // may end early
	margin margin
}

// wait returns true when due has come or ctx ends, false if it was interrupted
// before the last microseconds.
func (p *pacer) wait(ctx context.Context, due time.Duration, interrupt <-chan struct{}) bool {
	for {
		left := due - time.Since(p.start)
		switch {
		case left <= 0:
			return true
		case left <= p.margin.size:
			p.spin(due)
			return true
		case left > 2*timerSlack:
			timer := time.NewTimer(left - timerSlack)
			select {
			case <-timer.C:
			case <-interrupt:
				timer.Stop()
				return false
			case <-ctx.Done():
				timer.Stop()
				return true
			}
		default:
			select {
			case <-interrupt:
				return false
			default:
			}
			d := left - p.margin.size
			if before := wakeBefore(d); before > 0 {
				p.nap(d - before)
			} else {
				p.nap(d)
				p.margin.adapt(time.Since(p.start) - (due - left + d))
			}
		}
	}
}

// wakeBefore is how long before its time a sleep should end, to be followed by
// a shorter one. It is 0 for the last.
func wakeBefore(left time.Duration) time.Duration {
	switch {
	case left > 2*wakeUp:
		return wakeUp
	case left > 2*stride:
		return stride
	}
	return 0
}

// spin keeps the thread until due.
func (p *pacer) spin(due time.Duration) {
	for time.Since(p.start) < due {
	}
}

// margin is how long before a due time it is spun.
type margin struct {
	size time.Duration
	most time.Duration // 0 never spins

	saved time.Duration // that may be spun
	at    time.Duration // when saved was true
}

// grant takes from what is saved as much of the margin as is left before a due
// time.
func (m *margin) grant(now, left time.Duration) time.Duration {
	m.saved = min(m.saved+(now-m.at)/spinShare, m.most)
	m.at = now
	d := max(0, min(m.size, m.saved, left))
	m.saved -= d
	return d
}

// adapt moves the margin towards the 95th percentile of how late naps end: at
// rest one in twenty pushes it up as far as the others let it down. To chase
// the last ones would be to spin all the time on a busy machine.
func (m *margin) adapt(late time.Duration) {
	switch {
	case late < 0: // the nap was interrupted
	case late > m.size:
		m.size = min(m.size+spinStep, m.most)
	default:
		m.size = max(m.size-spinStep/19, 0)
	}
}

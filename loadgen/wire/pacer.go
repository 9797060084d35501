package wire

import (
	"context"
	"time"
)

const (
	// maxSpin bounds the time that is spun before each due time: at 1,000
	// calls a second it is at most five percent of a core.
	maxSpin = 50 * time.Microsecond
	// timerSlack is more than Go's timers are late on an idle machine: its
	// network poller rounds short waits up to a millisecond.
	timerSlack = 1500 * time.Microsecond
	// spinStep is how fast the margin follows the naps.
	spinStep = 5 * time.Microsecond
)

// pacer waits for due times: with a timer while there is time, then with a
// nap of the thread, and for the last microseconds, which a nap may miss, by
// spinning. The margin it spins adapts to how late naps end here.
type pacer struct {
	start  time.Time
	nap    func(time.Duration) // may end early
	most   time.Duration       // of margin; 0 never spins
	margin time.Duration
}

// wait returns when due has come, or when ctx ends.
func (p *pacer) wait(ctx context.Context, due time.Duration) {
	for {
		left := due - time.Since(p.start)
		switch {
		case left <= 0:
			return
		case left <= p.margin:
			p.spin(due)
			return
		case left > 2*timerSlack:
			timer := time.NewTimer(left - timerSlack)
			select {
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
				return
			}
		default:
			p.nap(left - p.margin)
			p.adapt(time.Since(p.start) - (due - p.margin))
		}
	}
}

// spin keeps the thread until due.
func (p *pacer) spin(due time.Duration) {
	for time.Since(p.start) < due {
	}
}

// adapt moves the margin towards the 90th percentile of how late naps end: at
// rest one in ten pushes it up as far as the others let it down. To chase the
// last ones would be to spin all the time on a busy machine.
func (p *pacer) adapt(late time.Duration) {
	switch {
	case late < 0: // the nap was interrupted
	case late > p.margin:
		p.margin = min(p.margin+spinStep, p.most)
	default:
		p.margin = max(p.margin-spinStep/9, 0)
	}
}

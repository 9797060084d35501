package resilience

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// The refusals of a Pool: the call was certainly not made.
var (
	// ErrFull says that every place is taken, and every place to wait too.
	ErrFull = errors.New("no place is free")
	// ErrShed says that the call gave way: to more urgent ones, or because
	// it had waited for so long that others have a better chance.
	ErrShed = errors.New("gave way under overload")
)

// Priority orders calls under overload: the lowest are shed first.
type Priority uint8

// The priorities.
const (
	Low Priority = iota
	Middle
	High
	priorities
)

// PoolConfig says how many calls are made at a time, and what becomes of those
// that come when all places are taken.
type PoolConfig struct {
	Places int  `json:"places"` // calls at a time; 0: no bound
	Shed   bool `json:"shed"`   // on: they wait a little, by priority; off: they are refused at once
}

// Validate names every impossible value.
func (c PoolConfig) Validate() error {
	if c.Places < 0 {
		return fmt.Errorf("pool of %d places: must not be negative", c.Places)
	}
	return nil
}

// How long calls wait for a place. A queue that was empty within the interval
// is a burst, which passes: it is served in order, and each call has the
// interval to wait. A queue that was not is overload: whoever comes last has
// the best chance to be answered in time, so the newest goes first, and what
// has waited for longer than the target is shed. After CoDel, and what
// Facebook made of it for servers.
const (
	shedInterval = 100 * time.Millisecond
	shedTarget   = 20 * time.Millisecond
	// queuePerPlace bounds the queue, and so what a refusal costs.
	queuePerPlace = 2
)

// Pool bounds how many calls are made at a time, so that a dependency is
// never asked for more than it does well, and one that hangs ties up its own
// places and no others. With shedding, what is too much is refused by
// priority and early, before it has cost anything.
type Pool struct {
	cfg PoolConfig

	mu     sync.Mutex
	busy   int
	queued int
	queue  [priorities]lane
	since  time.Time // when the queue was last empty
}

// waiting is one call in the queue.
type waiting struct {
	came  time.Time
	told  chan error // nil: it has a place
	lane  *lane
	older *waiting
	newer *waiting
}

// lane is the calls of one priority, oldest first.
type lane struct{ oldest, newest *waiting }

func (l *lane) add(w *waiting) {
	w.lane, w.older = l, l.newest
	if l.newest != nil {
		l.newest.newer = w
	} else {
		l.oldest = w
	}
	l.newest = w
}

func (l *lane) remove(w *waiting) {
	if w.older != nil {
		w.older.newer = w.newer
	} else {
		l.oldest = w.newer
	}
	if w.newer != nil {
		w.newer.older = w.older
	} else {
		l.newest = w.older
	}
	w.lane, w.older, w.newer = nil, nil, nil
}

// NewPool makes a pool with all places free.
func NewPool(cfg PoolConfig) *Pool { return &Pool{cfg: cfg} }

// Enter takes a place, which is given back with Leave. Its error is ErrFull,
// ErrShed or that of ctx.
func (p *Pool) Enter(ctx context.Context, priority Priority) error {
	if p.cfg.Places == 0 {
		return nil
	}
	p.mu.Lock()
	if p.busy < p.cfg.Places {
		p.busy++
		p.mu.Unlock()
		return nil
	}
	if !p.cfg.Shed {
		p.mu.Unlock()
		return ErrFull
	}
	now := time.Now()
	if p.queued == 0 {
		p.since = now
	}
	p.shedStale(now)
	if p.queued >= queuePerPlace*p.cfg.Places && !p.displace(priority) {
		p.mu.Unlock()
		return ErrFull
	}
	w := &waiting{came: now, told: make(chan error, 1)}
	p.queue[priority].add(w)
	p.queued++
	p.mu.Unlock()

	patience := time.NewTimer(shedInterval)
	defer patience.Stop()
	select {
	case err := <-w.told:
		return err
	case <-patience.C:
		return p.giveUp(w, ErrShed)
	case <-ctx.Done():
		return p.giveUp(w, ctx.Err())
	}
}

// Refuses says that a call of that priority would be refused at once, whatever
// else is asked of it: every place is taken, to wait too, and nobody waits who
// is less urgent. Who asks it before any other work refuses for next to nothing.
func (p *Pool) Refuses(priority Priority) bool {
	if p.cfg.Places == 0 {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.busy < p.cfg.Places {
		return false
	}
	if !p.cfg.Shed {
		return true
	}
	p.shedStale(time.Now())
	if p.queued < queuePerPlace*p.cfg.Places {
		return false
	}
	for i := range priority {
		if p.queue[i].oldest != nil {
			return false
		}
	}
	return true
}

// Leave gives the place of a call back: to the one that waits, if any.
func (p *Pool) Leave() {
	if p.cfg.Places == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.shedStale(now)
	w := p.next(now)
	if w == nil {
		p.busy--
		return
	}
	p.drop(w, nil)
}

// Waiting is how many calls wait for a place.
func (p *Pool) Waiting() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.queued
}

// Busy is how many places are taken.
func (p *Pool) Busy() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.busy
}

// giveUp leaves the queue, unless the call has been told already.
func (p *Pool) giveUp(w *waiting, why error) error {
	p.mu.Lock()
	if w.lane == nil {
		p.mu.Unlock()
		return <-w.told
	}
	p.drop(w, why)
	p.mu.Unlock()
	return why
}

// drop takes a call out of the queue and tells it why; nil gives it a place.
func (p *Pool) drop(w *waiting, why error) {
	w.lane.remove(w)
	p.queued--
	w.told <- why
}

// overloaded says that the queue has not been empty for a whole interval.
func (p *Pool) overloaded(now time.Time) bool {
	return p.queued > 0 && now.Sub(p.since) >= shedInterval
}

// shedStale refuses what has waited for too long under overload.
func (p *Pool) shedStale(now time.Time) {
	if !p.overloaded(now) {
		return
	}
	for i := range p.queue {
		for w := p.queue[i].oldest; w != nil && now.Sub(w.came) > shedTarget; w = p.queue[i].oldest {
			p.drop(w, ErrShed)
		}
	}
}

// next is the call that gets the next free place; nil: none waits.
func (p *Pool) next(now time.Time) *waiting {
	newestFirst := p.overloaded(now)
	for i := len(p.queue) - 1; i >= 0; i-- {
		if l := &p.queue[i]; l.oldest != nil {
			if newestFirst {
				return l.newest
			}
			return l.oldest
		}
	}
	return nil
}

// displace makes room for a call of that priority by shedding one of a lower
// one, the oldest of the lowest.
func (p *Pool) displace(priority Priority) bool {
	for i := range priority {
		if w := p.queue[i].oldest; w != nil {
			p.drop(w, ErrShed)
			return true
		}
	}
	return false
}

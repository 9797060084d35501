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
// is a burst, which passes: each call has the interval to wait. One that was not
// is overload, and lasts until nobody was refused for an interval: what has
// waited for longer than the target is shed, and no more may wait than are
// served within half of it, so that whoever comes too late is refused when it
// comes, before it has cost anything. The interval and the target are CoDel's
// (Nichols and Jacobson, 2012), as Facebook adapted it for servers (Maurer, 2015).
const (
	shedInterval = 100 * time.Millisecond
	shedTarget   = 20 * time.Millisecond
	// queuePerPlace bounds the queue of a burst.
	queuePerPlace = 2
	// placesPerShare says which part of the places Middle keeps while some
	// of it wait: High alone could take them all for as long as the
	// overload lasts.
	placesPerShare = 8
)

// Pool bounds how many calls are made at a time, so that a dependency is
// never asked for more than it does well, and one that hangs ties up its own
// places and no others. With shedding, what is too much is refused by
// priority and early, before it has cost anything.
type Pool struct {
	cfg   PoolConfig
	share int // places that Middle keeps

	mu     sync.Mutex
	busy   [priorities]int
	taken  int // sum of busy
	queue  [priorities]lane
	queued int       // in all lanes
	since  time.Time // when the queue was last empty
	until  time.Time // overload lasts until then, or longer if somebody is refused

	served  int       // calls that left since counted
	counted time.Time // when the count began
	pace    int       // calls that leave within half the target
}

// waiting is one call in the queue.
type waiting struct {
	came     time.Time
	told     chan error // nil: it has a place
	priority Priority
	queued   bool
	older    *waiting
	newer    *waiting
}

// lane is the calls of one priority, oldest first.
type lane struct {
	n              int
	oldest, newest *waiting
}

func (l *lane) add(w *waiting) {
	w.older = l.newest
	if l.newest != nil {
		l.newest.newer = w
	} else {
		l.oldest = w
	}
	l.newest = w
	l.n++
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
	w.older, w.newer = nil, nil
	l.n--
}

// NewPool makes a pool with all places free.
func NewPool(cfg PoolConfig) *Pool { return &Pool{cfg: cfg, share: cfg.Places / placesPerShare} }

// Enter takes a place, which is given back with Leave. Its error is ErrFull,
// ErrShed or that of ctx.
func (p *Pool) Enter(ctx context.Context, priority Priority) error {
	if p.cfg.Places == 0 {
		return nil
	}
	p.mu.Lock()
	if p.taken < p.cfg.Places {
		p.take(priority)
		p.mu.Unlock()
		return nil
	}
	now := time.Now()
	displaced, err := p.admit(priority, now)
	if err != nil {
		p.mu.Unlock()
		return err
	}
	if displaced != nil {
		p.drop(displaced, ErrShed)
	}
	if p.queued == 0 {
		p.since = now
		if !p.overloaded(now) {
			p.served, p.counted = 0, now
		}
	}
	w := &waiting{came: now, told: make(chan error, 1), priority: priority, queued: true}
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

// Refuses is the refusal that a call of that priority would meet at once,
// whatever else is asked of it; nil: none. Who asks it before any other work
// refuses for next to nothing.
func (p *Pool) Refuses(priority Priority) error {
	if p.cfg.Places == 0 {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.taken < p.cfg.Places {
		return nil
	}
	_, err := p.admit(priority, time.Now())
	return err
}

// Leave gives the place of a call back: to one that waits, if any.
func (p *Pool) Leave(priority Priority) {
	if p.cfg.Places == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.busy[priority]--
	p.taken--
	p.served++
	if took := now.Sub(p.counted); took >= shedInterval {
		p.pace = int(time.Duration(p.served) * (shedTarget / 2) / took)
		p.served, p.counted = 0, now
	}
	p.shedStale(now)
	if w := p.next(); w != nil {
		p.take(w.priority)
		p.drop(w, nil)
	}
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
	return p.taken
}

func (p *Pool) take(priority Priority) {
	p.busy[priority]++
	p.taken++
}

// giveUp leaves the queue, unless the call has been told already.
func (p *Pool) giveUp(w *waiting, why error) error {
	p.mu.Lock()
	if !w.queued {
		p.mu.Unlock()
		return <-w.told
	}
	p.drop(w, why)
	p.mu.Unlock()
	return why
}

// drop takes a call out of the queue and tells it why; nil gives it a place.
func (p *Pool) drop(w *waiting, why error) {
	p.queue[w.priority].remove(w)
	w.queued = false
	p.queued--
	w.told <- why
}

// overloaded says that the queue has not been empty for a whole interval, or
// was not lately.
func (p *Pool) overloaded(now time.Time) bool {
	return now.Before(p.until) || p.queued > 0 && now.Sub(p.since) >= shedInterval
}

// shedStale refuses what has waited for too long under overload.
func (p *Pool) shedStale(now time.Time) {
	if !p.overloaded(now) {
		return
	}
	for i := range p.queue {
		for w := p.queue[i].oldest; w != nil && now.Sub(w.came) > shedTarget; w = p.queue[i].oldest {
			p.drop(w, ErrShed)
			p.until = now.Add(shedInterval)
		}
	}
}

// admit says whether a call of that priority, with every place taken, may wait
// for one, and who gives way to it, if anybody must.
func (p *Pool) admit(priority Priority, now time.Time) (displaced *waiting, err error) {
	if !p.cfg.Shed {
		return nil, ErrFull
	}
	p.shedStale(now)
	room, err := queuePerPlace*p.cfg.Places, ErrFull
	overload := p.overloaded(now)
	if overload {
		room, err = min(room, max(1, p.pace)), ErrShed
	}
	if p.queued < room || priority == Middle && p.queue[Middle].n < p.share {
		return nil, nil
	}
	if overload {
		p.until = now.Add(shedInterval)
	}
	for i := range priority {
		l := &p.queue[i]
		if l.oldest != nil && (i != Middle || l.n > p.share) {
			return l.oldest, nil
		}
	}
	return nil, err
}

// next is the call that gets the next free place; nil: none waits.
func (p *Pool) next() *waiting {
	if p.busy[Middle] < p.share && p.queue[Middle].oldest != nil {
		return p.queue[Middle].oldest
	}
	for i := len(p.queue) - 1; i >= 0; i-- {
		if w := p.queue[i].oldest; w != nil {
			return w
		}
	}
	return nil
}

// Package lever lets a component be moved from outside while it runs: New
// makes a lever, the code that it moves asks it on its way, and Handler lets
// it be set over the admin endpoint. What was set goes back by itself when its
// lease is over, so that whoever set it need not live to let it go.
//
// The invariant: a lever that nobody has set costs one atomic load and changes
// nothing. Levers are of the process, as a process is one replica.
package lever

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Lever is one thing that can be moved.
type Lever struct {
	name  string
	moved func(*Setting) // told of each setting that begins, and of nil; may be nil
	now   atomic.Pointer[Setting]

	mu    sync.Mutex
	lease *time.Timer
}

// Setting is how a lever stands.
type Setting struct {
	Share  float64       // of the occasions on which it acts, 0 to 1
	Delay  time.Duration // that it adds
	Offset time.Duration // of the clock
	Bytes  int64
	Cores  float64
	Every  time.Duration
	Code   string // Kafka's name of an error
	Topic  string // "": every one

	text  string // as it was set, to know it again
	acted atomic.Int64
}

// New makes a lever. moved, if set, is told under the lever's lock of each
// setting that begins, and of nil when the lever goes back.
func New(name string, moved func(*Setting)) *Lever { return &Lever{name: name, moved: moved} }

// Set moves the lever until the lease is over. Set again to the same, it only
// renews the lease; fresh says that it did not stand so before.
func (l *Lever) Set(values map[string]string, lease time.Duration) (acted int64, fresh bool, err error) {
	s, err := parse(values)
	if err != nil {
		return 0, false, fmt.Errorf("lever %s: %w", l.name, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lease != nil {
		l.lease.Stop()
	}
	if old := l.now.Load(); old != nil && old.text == s.text {
		s = old
	} else {
		fresh = true
		l.now.Store(s)
		if l.moved != nil {
			l.moved(s)
		}
	}
	l.lease = time.AfterFunc(lease, func() { l.expire(s) })
	return s.acted.Load(), fresh, nil
}

// Release lets the lever go back, and says how often it has acted.
func (l *Lever) Release() (acted int64) {
	s := l.now.Load()
	if s == nil {
		return 0
	}
	l.expire(s)
	return s.acted.Load()
}

// expire lets go of one setting, if the lever still stands so.
func (l *Lever) expire(s *Setting) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.now.CompareAndSwap(s, nil) {
		return
	}
	l.lease.Stop()
	if l.moved != nil {
		l.moved(nil)
	}
}

// Now is how the lever stands, nil if nobody has moved it.
func (l *Lever) Now() *Setting { return l.now.Load() }

// Acts says whether it acts on this occasion, and counts it if so; nil: it
// does not.
func (l *Lever) Acts() *Setting {
	s := l.now.Load()
	if s == nil || s.Share < 1 && rand.Float64() >= s.Share {
		return nil
	}
	s.acted.Add(1)
	return s
}

// Delay waits for as long as the lever adds, if it acts.
func (l *Lever) Delay(ctx context.Context) error {
	s := l.Acts()
	if s == nil {
		return nil
	}
	timer := time.NewTimer(s.Delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Count adds to what the setting has done.
func (s *Setting) Count(n int64) { s.acted.Add(n) }

// parse reads the values of a setting. What it does not know is an error: a
// fault that is only half made is none.
func parse(values map[string]string) (*Setting, error) {
	s := &Setting{Share: 1}
	for _, name := range []string{"share", "delay", "offset", "bytes", "cores", "every", "code", "topic"} {
		text, given := values[name]
		if !given {
			continue
		}
		var err error
		switch name {
		case "share":
			s.Share, err = strconv.ParseFloat(text, 64)
			if err == nil && !(s.Share > 0 && s.Share <= 1) {
				err = fmt.Errorf("%g is no share", s.Share)
			}
		case "delay":
			s.Delay, err = time.ParseDuration(text)
		case "offset":
			s.Offset, err = time.ParseDuration(text)
		case "every":
			s.Every, err = time.ParseDuration(text)
		case "bytes":
			s.Bytes, err = strconv.ParseInt(text, 10, 64)
		case "cores":
			s.Cores, err = strconv.ParseFloat(text, 64)
		case "code":
			s.Code = text
		case "topic":
			s.Topic = text
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		s.text += name + "=" + text + "\n"
	}
	for name := range values {
		switch name {
		case "share", "delay", "offset", "bytes", "cores", "every", "code", "topic":
		default:
			return nil, fmt.Errorf("unknown value %q", name)
		}
	}
	return s, nil
}

package chaos

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/ordbench/ordbench/chaos/proxy"
)

var flap = Definition{
	Name:    "flap",
	Family:  LinkFamily,
	Summary: "the link is cut and comes back, again and again",
	Targets: links,
	Options: []Option{
		{Name: "down", Kind: Duration, Default: "200ms", Summary: "how long it is cut each time"},
		{Name: "up", Kind: Duration, Default: "300ms", Summary: "how long it works in between"},
		directionOption, shareOption, forOption,
	},
	Notes:   []string{refusalNote},
	Example: "ordbench chaos flap 'payment->broker' --down 200ms --up 300ms --for 10s",
	on:      onLink,
	check: func(s Spec) *UsageError {
		for _, o := range []string{"down", "up"} {
			if s.duration(o) < 10*time.Millisecond {
				return &UsageError{Field: o, Message: fmt.Sprintf("%s: %s is too short to be seen", o, s.duration(o)), Hint: "10ms at least"}
			}
		}
		return nil
	},
	bind: func(e *Engine, s Spec) (act, error) {
		linker, err := means[Linker](e, "links to disturb")
		if err != nil {
			return act{}, err
		}
		proxies, err := linker.Link(s.Target)
		if err != nil {
			return act{}, notOpen(s.Target)
		}
		f := &flapping{proxies: proxies, name: e.unique(s.Fault), rule: s.refusal(), down: s.duration("down"), up: s.duration("up")}
		return act{apply: f.begin, prove: f.prove, look: f.look, undo: f.end}, nil
	},
}

// flapping cuts a link and joins it, by turns.
type flapping struct {
	proxies  []Proxy
	name     string
	rule     proxy.Rule
	down, up time.Duration

	stop    context.CancelFunc
	running sync.WaitGroup
	mu      sync.Mutex
	cuts    int
	err     error
}

func (f *flapping) begin(ctx context.Context, _ string) (Sight, error) {
	if err := f.set(true); err != nil {
		return Sight{}, err
	}
	turns, stop := context.WithCancel(context.WithoutCancel(ctx))
	f.stop = stop
	f.running.Go(func() {
		for down := true; ; down = !down {
			rest := f.up
			if down {
				rest = f.down
			}
			if !sleep(turns, rest) {
				return
			}
			if err := f.set(!down); err != nil {
				f.mu.Lock()
				f.err = err
				f.mu.Unlock()
				return
			}
		}
	})
	return Sight{At: time.Now(), Armed: true}, nil
}

// prove sends probes until one meets a cut.
func (f *flapping) prove(ctx context.Context, _ string) (Sight, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*(f.down+f.up)+time.Second)
	defer cancel()
	for {
		probing, done := context.WithTimeout(ctx, probeWithin)
		p, err := f.proxies[0].Probe(probing, 1)
		done()
		switch {
		case err != nil:
			return Sight{}, err
		case p.Refused || p.Reset:
			return saw("%s", turnedAway(p)), nil
		case !sleep(ctx, 2*time.Millisecond):
			return Sight{}, fmt.Errorf("no probe was turned away: %+v", p)
		}
	}
}

// set cuts the link or joins it.
func (f *flapping) set(down bool) error {
	for _, p := range f.proxies {
		var err error
		if down {
			err = p.Set(f.name, f.rule)
		} else {
			_, err = p.Clear(f.name)
		}
		if err != nil {
			return err
		}
	}
	if down {
		f.mu.Lock()
		f.cuts++
		f.mu.Unlock()
	}
	return nil
}

func (f *flapping) look(context.Context, string) (Sight, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return saw("it was cut %d times", f.cuts), f.err
}

func (f *flapping) end(context.Context, string) (Sight, error) {
	if f.stop != nil {
		f.stop()
	}
	f.running.Wait()
	err := f.set(false)
	s := saw("lets through again")
	if f.cuts > 0 {
		s.Came = fmt.Sprintf("it was cut %d times", f.cuts)
	}
	return s, err
}

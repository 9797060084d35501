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
		forOption,
	},
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
		f := &flapping{proxies: proxies, name: e.unique(s.Fault), down: s.duration("down"), up: s.duration("up")}
		return act{apply: f.begin, look: f.look, undo: f.end}, nil
	},
}

// flapping cuts a link and joins it, by turns.
type flapping struct {
	proxies  []Proxy
	name     string
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
	since := time.Now()
	probing, cancel := context.WithTimeout(ctx, probeWithin)
	defer cancel()
	p, err := f.proxies[0].Probe(probing, 1)
	if err != nil || !p.Refused {
		return Sight{}, fmt.Errorf("a probe was not refused: %+v, %w", p, err)
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
	s := saw("a probe was refused")
	s.Since = since
	return s, nil
}

// set cuts the link or joins it.
func (f *flapping) set(down bool) error {
	for _, p := range f.proxies {
		var err error
		if down {
			err = p.Set(f.name, proxy.Rule{Refuse: true})
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
	if err := f.set(false); err != nil {
		return Sight{}, err
	}
	return saw("lets through again"), nil
}

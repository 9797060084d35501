package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/ordbench/ordbench/scenarios"
	"github.com/ordbench/ordbench/scenarios/conductor"
)

// lineEvery is how often a line is written where there is no terminal to
// paint a bar on.
const lineEvery = 10 * time.Second

// progress shows on stderr how a run goes: a bar on a terminal, else a line
// every ten seconds. Events stand above the bar.
type progress struct {
	out  io.Writer // nil: silent
	bars *mpb.Progress
	bar  *mpb.Bar
	last atomic.Pointer[conductor.Progress] // painted by the bar's own goroutine

	mu    sync.Mutex
	wrote time.Time
	stage conductor.Stage
	plan  string // what is about to be played, until it is shown
}

func newProgress(stderr io.Writer, quiet bool) *progress {
	p := &progress{}
	p.last.Store(&conductor.Progress{Stage: conductor.Booting})
	if quiet {
		return p
	}
	p.out = stderr
	if width, ok := terminal(stderr); ok {
		p.bars = mpb.New(mpb.WithOutput(stderr), mpb.WithWidth(min(30, max(10, width/4))), mpb.WithRefreshRate(200*time.Millisecond))
		p.bar = p.bars.AddBar(1000,
			mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(decor.Any(func(decor.Statistics) string { return p.where() }, decor.WCSyncSpaceR)),
			mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return p.state() })),
		)
	}
	return p
}

// scenario takes down what is about to be played. It is shown when that
// begins: a run that can't begin should say only why. why tells what the
// runtime was chosen for; "" where it was named.
func (p *progress) scenario(s *scenarios.Scenario, runtime, why string) {
	if p.out == nil {
		return
	}
	var text strings.Builder
	_ = s.Summary().Write(&text) // a builder takes everything
	fmt.Fprintf(&text, "runtime %s, seed %d", runtime, s.Seed)
	if why != "" {
		fmt.Fprintf(&text, "\n%s for --runtime auto: %s", runtime, why)
	}
	p.plan = text.String()
}

// Progress shows one look at the run.
func (p *progress) Progress(now conductor.Progress) {
	if p.out == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.plan != "" {
		p.line(p.plan)
		p.plan = ""
	}
	p.last.Store(&now)
	if p.bar != nil {
		switch {
		case now.Stage == conductor.Booting:
		case now.Stage != conductor.Loading:
			p.bar.SetCurrent(999)
		case now.Total > 0:
			p.bar.SetCurrent(min(999, int64(1000*now.Elapsed/now.Total)))
		}
		return
	}
	if now.Stage == conductor.Loading && p.wrote.IsZero() {
		p.wrote = time.Now()
	}
	changed := now.Stage != p.stage && now.Stage != conductor.Loading
	due := !p.wrote.IsZero() && time.Since(p.wrote) >= lineEvery
	if changed || due {
		p.stage, p.wrote = now.Stage, time.Now()
		p.line(fmt.Sprintf("%s  %s", p.where(), p.state()))
	}
	p.stage = now.Stage
}

// Event shows what happens once.
func (p *progress) Event(at time.Duration, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.line(fmt.Sprintf("%6.1fs  %s", at.Seconds(), text))
}

// line writes one line, above the bar if there is one. The caller holds the
// lock.
func (p *progress) line(text string) {
	switch {
	case p.out == nil:
	case p.bars != nil:
		fmt.Fprintln(p.bars, text)
	default:
		fmt.Fprintln(p.out, text)
	}
}

// where says at which point of the run it is.
func (p *progress) where() string {
	now := p.last.Load()
	if now.Stage != conductor.Loading {
		return string(now.Stage)
	}
	return fmt.Sprintf("%s %.0f/%.0fs", now.Phase, now.Elapsed.Seconds(), now.Total.Seconds())
}

// state says how the system does.
func (p *progress) state() string {
	now := p.last.Load()
	switch now.Stage {
	case conductor.Loading:
		if now.Bare {
			return fmt.Sprintf("%4.0f/s  not ok %.1f%%  in flight %d", now.SentPerS, 100*now.NotOK, now.Flying)
		}
		text := fmt.Sprintf("%4.0f/s  not ok %.1f%%  lag %d  inventory x%d", now.SentPerS, 100*now.NotOK, now.Lag, now.Replicas)
		if now.Breaker != "" && now.Breaker != "closed" && now.Breaker != "disabled" {
			text += "  breaker " + now.Breaker
		}
		return text
	case conductor.Draining:
		return now.InFlight
	default:
		return ""
	}
}

// close takes the bar away.
func (p *progress) close() {
	if p.bar != nil {
		p.bar.Abort(true)
		p.bars.Wait()
	}
}

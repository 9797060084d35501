package conductor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ordbench/ordbench/loadgen"
	"github.com/ordbench/ordbench/loadgen/static"
	"github.com/ordbench/ordbench/loadgen/vitals"
	"github.com/ordbench/ordbench/loadgen/wire"
	"github.com/ordbench/ordbench/reports"
	"github.com/ordbench/ordbench/reports/gate"
	"github.com/ordbench/ordbench/reports/traffic"
)

// reachLimit is how long a target may take to accept a first connection.
const reachLimit = 5 * time.Second

// UnreachableError says that nobody answers at the target of a load.
type UnreachableError struct {
	Target string
	Err    error
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("reach %s: %v; is it running, and is the port right?", e.Target, e.Err)
}

func (e *UnreachableError) Unwrap() error { return e.Err }

// LoadOptions say what to send, where, and how much. The target is whatever
// the caller was told: there is no default.
type LoadOptions struct {
	Target      *url.URL
	Request     static.Request
	Plan        loadgen.Plan
	Connections int
	Timeout     time.Duration
	MaxSlip     time.Duration
	TLS         *tls.Config
	Gates       []gate.Gate
	Law         string // the plan in words, for the result

	Out       string // results go to <Out>/<host>/<UTC time>; "" keeps none
	Command   string
	Version   string
	Reporter  Reporter
	Interrupt <-chan struct{} // closed: stop and report; may be nil
}

// Load drives a target that ordbench did not boot, and says what it measured
// and whether that can be believed. The directory is "" where nothing was
// kept. The error is an *UnreachableError, an *OutDirError, ErrInterrupted, or
// a fault of ordbench itself.
func Load(ctx context.Context, o LoadOptions) (*reports.Result, string, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(channelContext(o.Interrupt), stop)()
	if err := reach(ctx, o.Target); err != nil {
		if ctx.Err() != nil {
			return nil, "", ErrInterrupted
		}
		return nil, "", err
	}
	l := &load{LoadOptions: o, began: time.Now()}
	if o.Out != "" {
		var err error
		if l.dir, err = newRunDir(o.Out, hostName(o.Target), l.began); err != nil {
			return nil, "", err
		}
	}
	if err := l.drive(ctx, stop); err != nil {
		return nil, l.dir, err
	}
	result := l.result()
	if l.dir != "" {
		if err := reports.Write(l.dir, result); err != nil {
			return result, l.dir, fmt.Errorf("write the result: %w", err)
		}
	}
	return result, l.dir, nil
}

// load is one load while it is played.
type load struct {
	LoadOptions
	dir      string
	began    time.Time
	report   *loadgen.Report
	finding  vitals.Finding
	troubles []string
	open     int // connections that there may be
}

// reach connects once, so that a wrong address is one error and not a report
// full of them.
func reach(ctx context.Context, target *url.URL) error {
	ctx, cancel := context.WithTimeout(ctx, reachLimit)
	defer cancel()
	port := target.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[target.Scheme]
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(target.Hostname(), port))
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) {
			err = op.Err
		}
		return &UnreachableError{Target: target.Scheme + "://" + target.Host, Err: err}
	}
	return conn.Close()
}

// hostName is the target as the name of a directory.
func hostName(target *url.URL) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(":[]%/", r) {
			return '-'
		}
		return r
	}, target.Host)
}

// drive plays the plan, beside those who watch it.
func (l *load) drive(ctx context.Context, stop func()) error {
	l.open = l.Connections
	if users := l.Plan.Users(); users > 0 {
		l.open = users // what a closed loop asks of its engine
	}
	start := time.Now().Add(lead)
	runner := loadgen.New(loadgen.Config{
		Plan: l.Plan, Workload: &l.Request, Start: start, Grace: min(loadGrace, l.Timeout), MaxSlip: l.MaxSlip,
		Engine: wire.New(wire.Config{
			BaseURL: l.Target.Scheme + "://" + l.Target.Host, Connections: l.open, Timeout: l.Timeout, TLS: l.TLS,
		}),
		Intervals: l.dir != "",
	})
	var watch sync.WaitGroup
	watch.Go(func() {
		l.finding = vitals.Watch(ctx, vitals.Config{
			Runner: runner, Plan: l.Plan, Connections: l.open, MaxSlip: l.MaxSlip,
			Told: func(limit vitals.Limit) {
				if l.Reporter != nil {
					l.Reporter.Event(limit.Onset, limitLine(limit))
				}
			},
		})
	})
	watch.Go(func() { l.follow(ctx, runner) })
	var intervals *traffic.Log
	if l.dir != "" {
		var err error
		if intervals, err = traffic.CreateLog(filepath.Join(l.dir, traffic.LogFile), start); err != nil {
			stop()
			watch.Wait()
			return err
		}
		watch.Go(func() { intervals.Follow(ctx, runner) })
	}
	report, err := runner.Run(ctx)
	stop()
	watch.Wait()
	if intervals != nil {
		if err := intervals.Close(runner); err != nil {
			l.troubles = append(l.troubles, fmt.Sprintf("write the log of intervals: %v", err))
		}
	}
	if err != nil {
		return fmt.Errorf("drive the load: %w", err)
	}
	l.report = report
	return nil
}

// limitLine is a limit as an event of a run.
func limitLine(l vitals.Limit) string {
	return strings.ReplaceAll(string(l.Outcome), "_", "-") + ": " + l.Detail
}

// follow tells the reporter how it goes.
func (l *load) follow(ctx context.Context, runner *loadgen.Runner) {
	if l.Reporter == nil {
		return
	}
	tick := time.NewTicker(observeEvery)
	defer tick.Stop()
	const looks = int(time.Second / observeEvery)
	var past []loadgen.Snapshot // of the last second
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := runner.Snapshot()
		if now.Phase < 0 || now.Phase >= len(l.Plan.Phases) {
			continue
		}
		p := Progress{
			Stage: Loading, Bare: true, Phase: l.Plan.Phases[now.Phase].Name,
			Elapsed: max(now.At, 0), Total: l.Plan.Length(), Scheduled: now.Total().Scheduled, Flying: now.InFlight,
		}
		if len(past) > 0 {
			then := past[0]
			p.rates(now.Total(), then.Total(), now.At-then.At)
		}
		if past = append(past, now); len(past) > looks {
			past = past[1:]
		}
		l.Reporter.Progress(p)
	}
}

// result puts together what is known and judges it.
func (l *load) result() *reports.Result {
	r := &reports.Result{
		SchemaVersion: reports.SchemaVersion,
		Run: reports.Run{
			ID: NewID("load"), StartedAt: l.began.UTC(), DurationMS: time.Since(l.began).Milliseconds(),
			Command: l.Command, Seed: int64(l.Plan.Seed), Interrupted: l.report.Stopped,
			Kind: reports.LoadKind, Target: l.Target.String(), DrainMS: max(0, l.report.End-l.Plan.Length()).Milliseconds(),
		},
		Scenario:    reports.Scenario{Name: hostName(l.Target), Description: l.Request.Method + " " + l.Target.String() + ", " + l.Law},
		Environment: environment(l.Version, nil),
		Validity:    traffic.Validity(l.report, l.finding, l.MaxSlip),
		Phases:      traffic.Phases(l.report),
	}
	var err error
	if r.Latency, err = traffic.Latency(l.report); err != nil {
		l.troubles = append(l.troubles, err.Error())
	}
	if l.dir != "" {
		r.Artifacts = []string{traffic.LogFile}
	}
	r.Gates = gate.Judge(l.Gates, r)
	r.Warnings = l.warnings()
	r.Verdict = l.verdict(r)
	return r
}

// warnings says what a reader should know before believing the numbers.
func (l *load) warnings() []string {
	var warnings []string
	examples := map[string]string{}
	for _, p := range l.report.Phases {
		for _, o := range p.Ops {
			for reason, text := range o.Examples {
				examples[reason] = text
			}
		}
	}
	for _, reason := range slices.Sorted(maps.Keys(examples)) {
		warnings = append(warnings, fmt.Sprintf("%s, such as: %s", reason, examples[reason]))
	}
	if w := queuedWarning(l.report, l.open); w != "" {
		warnings = append(warnings, w)
	}
	return append(warnings, l.troubles...)
}

// verdict is fail where a gate failed or nothing was answered as expected, and
// inconclusive where the numbers are not those of the target.
func (l *load) verdict(r *reports.Result) reports.Verdict {
	var total, all loadgen.Counts
	for _, p := range l.report.Phases {
		all = all.Plus(p.Total())
		if p.Recorded {
			total = total.Plus(p.Total())
		}
	}
	var failed, unknown []string
	for _, g := range r.Gates {
		switch g.Outcome {
		case gate.Fail:
			failed = append(failed, g.ID)
		case gate.Unknown:
			unknown = append(unknown, g.ID+" ("+g.Detail+")")
		}
	}
	v := reports.Verdict{Outcome: reports.Pass}
	switch {
	case all.Settled() > 0 && all.OK == 0 && !l.report.Stopped:
		v.Outcome, v.Reason = reports.Fail, fmt.Sprintf("none of %d requests was answered as expected", all.Scheduled)
	case len(failed) > 0:
		v.Outcome, v.Reason = reports.Fail, fmt.Sprintf("%s of %d failed: %s", counted(len(failed), "gate"), len(r.Gates), strings.Join(failed, ", "))
	case l.report.Stopped:
		v.Outcome, v.Reason = reports.Inconclusive, fmt.Sprintf("interrupted after %d requests", all.Scheduled)
	case r.Validity.Outcome == reports.GeneratorLimited:
		v.Outcome, v.Reason = reports.Inconclusive, "the generator was the limit: "+r.Validity.Reason
	case len(unknown) > 0:
		v.Outcome, v.Reason = reports.Inconclusive, "can't be judged: "+strings.Join(unknown, ", ")
	case r.Validity.Outcome == reports.SystemLimited:
		v.Reason = "the target was the limit: " + r.Validity.Reason
	case total.Scheduled > 0:
		v.Reason = fmt.Sprintf("%d requests, %.4g%% of them answered as expected", total.Scheduled, 100*float64(total.OK)/float64(total.Scheduled))
	}
	return v
}

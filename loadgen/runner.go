package loadgen

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Config is one run of load.
type Config struct {
	Plan     Plan
	Workload Workload
	Engine   Engine
	Ledger   *LedgerWriter // of attempts with a Key; nil keeps none. Run flushes it, its owner closes it.
	Start    time.Time     // of the plan; zero is when Run is called
	Grace    time.Duration // for what is in flight when the load is stopped
	MaxSlip  time.Duration // how late an attempt may leave, see Pulse; 0 is 50 ms

	// Intervals keeps response times a second time, for Runner.Intervals.
	Intervals bool
}

// defaultMaxSlip is how late an attempt may leave without being called late.
const defaultMaxSlip = 50 * time.Millisecond

// Runner plays a plan against a target. It runs once.
type Runner struct {
	cfg      Config
	schedule *schedule
	recorder *recorder
	start    atomic.Pointer[time.Time]
	fail     context.CancelCauseFunc
}

// New prepares a run; problems of cfg are reported by Run.
func New(cfg Config) *Runner {
	r := &Runner{cfg: cfg}
	if r.validate() == nil {
		r.schedule = newSchedule(cfg.Plan, cfg.Workload)
		r.recorder = newRecorder(cfg.Plan, cmp.Or(cfg.MaxSlip, defaultMaxSlip))
		for i := range r.recorder.shards {
			if cfg.Intervals {
				r.recorder.shards[i].interval = map[Op]*hdrhistogram.Histogram{}
			}
		}
	}
	if !cfg.Start.IsZero() {
		r.start.Store(&cfg.Start)
	}
	return r
}

func (r *Runner) validate() error {
	var errs []error
	if err := r.cfg.Plan.Validate(); err != nil {
		errs = append(errs, err)
	}
	if r.cfg.Workload == nil {
		errs = append(errs, errors.New("load: no workload"))
	}
	if r.cfg.Engine == nil {
		errs = append(errs, errors.New("load: no engine"))
	}
	return errors.Join(errs...)
}

// Run plays the plan to its end, or until ctx ends: then what is due and
// unsent is dropped, what is in flight gets the grace, and what is not due is
// not scheduled. An end of ctx is not an error. The report is there, as far
// as the run came, with an error too, unless the config is wrong.
func (r *Runner) Run(ctx context.Context) (*Report, error) {
	if err := r.validate(); err != nil {
		return nil, err
	}
	now := time.Now()
	r.start.CompareAndSwap(nil, &now)
	start := *r.start.Load()

	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	r.fail = fail
	var stopped atomic.Int64
	stopped.Store(-1)
	note := context.AfterFunc(ctx, func() { stopped.CompareAndSwap(-1, int64(time.Since(start))) })

	err := r.cfg.Engine.Run(ctx, Job{Start: start, Grace: r.cfg.Grace, Calls: r.schedule, Replies: sink{r}})
	if err == nil {
		// Phases last as long as they say, also when no arrival is left.
		sleepUntil(ctx, start.Add(r.cfg.Plan.Length()))
	}
	report := &Report{Start: start}
	if ctx.Err() != nil || err != nil {
		note() // from here on the stop is noted by us, if it was not yet
		stopped.CompareAndSwap(-1, int64(time.Since(start)))
		report.Stopped = true
		r.drop(max(0, time.Duration(stopped.Load())))
	}
	if r.cfg.Ledger != nil {
		err = errors.Join(err, r.cfg.Ledger.Flush())
	}
	r.fill(report, time.Duration(stopped.Load()))
	return report, errors.Join(err, r.audit(report))
}

// drop settles what was due when the load was stopped and no engine took.
func (r *Runner) drop(stop time.Duration) {
	if r.schedule.crowd != nil {
		return // users that nobody asked are not waiting
	}
	var c Call
	for r.schedule.Next(&c) {
		if c.Due > stop {
			r.schedule.withdraw(&c)
			return
		}
		sink{r}.Done(&c, &Reply{Sent: -1, Ready: stop, Done: stop, Failure: Stopped})
	}
}

// fill writes the phases of the report; stop is -1 if there was none.
func (r *Runner) fill(report *Report, stop time.Duration) {
	report.End = r.recorder.end()
	start := time.Duration(0)
	for i, p := range r.cfg.Plan.Phases {
		end := start + p.For
		phase := PhaseReport{Name: p.Name, Start: start, End: end, Recorded: p.Record}
		if report.Stopped {
			phase.Start, phase.End = min(start, max(stop, 0)), min(end, max(stop, 0))
		}
		phase.Ops = r.recorder.phase(i)
		for op, n := range r.schedule.scheduled(i) {
			if phase.Ops[op] == nil {
				if n == 0 {
					continue
				}
				phase.Ops[op] = newOpReport()
			}
			phase.Ops[op].Counts.Scheduled = n
		}
		report.Phases = append(report.Phases, phase)
		start = end
	}
}

// audit holds the account against itself and against the law: an engine that
// loses a call makes the whole measurement worthless.
func (r *Runner) audit(report *Report) error {
	for _, p := range report.Phases {
		for op, o := range p.Ops {
			if c := o.Counts; c.Scheduled != c.Settled() {
				return fmt.Errorf("account of %s in phase %q: %d scheduled, %d settled", op, p.Name, c.Scheduled, c.Settled())
			}
		}
	}
	if report.Stopped {
		return nil
	}
	if _, due := r.schedule.progress(r.cfg.Plan.Length()); due != report.Total().Scheduled {
		return fmt.Errorf("account: %d arrivals were due, %d scheduled", due, report.Total().Scheduled)
	}
	return nil
}

// Snapshot says how far the run is. It may be called at any time.
func (r *Runner) Snapshot() Snapshot {
	s := Snapshot{Phase: -1, At: -1, Ops: map[Op]Counts{}}
	start := r.start.Load()
	if start == nil || r.schedule == nil {
		return s
	}
	// What is settled is read first, then the clock, then what was given out:
	// so whatever is settled was due and given out.
	r.recorder.counts(s.Ops)
	s.At = time.Since(*start)
	s.Phase = r.cfg.Plan.At(s.At)
	given, due := r.schedule.progress(s.At)
	total := uint64(0)
	for op, n := range given {
		c := s.Ops[op]
		c.Scheduled = n
		s.Ops[op] = c
		total += n
	}
	s.InFlight = total - s.Total().Settled()
	if due > total {
		s.Waiting = due - total
	}
	return s
}

// sink is the Sink of a run.
type sink struct{ r *Runner }

// Done settles one call, unless it is a step of a flow that goes on.
func (s sink) Done(c *Call, reply *Reply) {
	if reply.Failure == Withdrawn && !c.further {
		s.r.schedule.withdraw(c)
		return
	}
	v := s.r.cfg.Workload.Judge(c, reply)
	s.enter(c, reply, v)
	c.goesOn = false
	if s.repeat(c, reply, v) {
		return
	}
	if c.Step != "" {
		if f, ok := s.r.cfg.Workload.(Follower); ok {
			var goesOn bool
			if v, goesOn = s.step(f, c, reply, v); goesOn {
				return
			}
		}
	} else if c.further {
		v = underWay(reply.Failure, v)
	}
	s.r.recorder.record(c, reply, v)
	s.r.schedule.answered(reply.Done)
}

// enter writes an order that was tried into the ledger.
func (s sink) enter(c *Call, reply *Reply, v Verdict) {
	if s.r.cfg.Ledger == nil || len(c.Key) == 0 {
		return
	}
	err := s.r.cfg.Ledger.Write(Attempt{
		Seq: c.Seq, Phase: s.r.cfg.Plan.Phases[c.Phase].Name,
		Due: c.Due, Sent: reply.Sent, Done: reply.Done,
		Certainty: v.Certainty, Status: reply.Status,
		Key: string(c.Key), OrderID: v.OrderID, Reason: v.Reason,
	})
	if err != nil {
		// Load whose orders nobody can check is of no use.
		s.r.fail(err)
	}
}

// sleepUntil returns at t, or when ctx ends.
func sleepUntil(ctx context.Context, t time.Time) {
	timer := time.NewTimer(time.Until(t))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

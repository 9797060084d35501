package system

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ordbench/ordbench/system/bus"
	"github.com/ordbench/ordbench/system/events"
)

// Sample is the stack at one moment of a run.
type Sample struct {
	At        time.Time
	Ready     map[Component]int
	Desired   map[Component]int
	Processes map[string]ProcessSample // by replica; those without a process are absent
	Lag       []bus.Lag                // of each group in each of its topics, as last read
	LagKnown  bool                     // false: the broker has not told within lagFresh
	LagAt     time.Time                // when Lag was read
	Breakers  []BreakerSample          // of the gateways that answered
}

// ProcessSample is what one process uses.
type ProcessSample struct {
	PID      int
	CPUCores float64 // mean since the sample before
	RSSBytes int64
}

// BreakerSample is one circuit breaker of one replica. A replica that starts
// again starts with an empty history.
type BreakerSample struct {
	Replica     string              `json:"replica"`
	Name        string              `json:"name"`  // "gateway->order"
	State       string              `json:"state"` // closed, open, half-open, disabled
	Trips       int                 `json:"trips"`
	Transitions []BreakerTransition `json:"transitions"`
}

// BreakerTransition is one change of a breaker's state.
type BreakerTransition struct {
	At   time.Time `json:"at"`
	From string    `json:"from"`
	To   string    `json:"to"`
}

// consumer is a group and what it reads.
type consumer struct{ group, topic string }

// consumers are the groups of the system and what they read, what is scaled
// by first.
var consumers = []consumer{
	{events.InventoryGroup, events.OrdersTopic},
	{events.InventoryGroup, events.PaymentTopic},
	{events.PaymentGroup, events.InventoryTopic},
	{events.PaymentGroup, events.CancellationsTopic},
	{events.OrderGroup, events.InventoryTopic},
	{events.OrderGroup, events.PaymentTopic},
	{events.NotificationGroup, events.InventoryTopic},
	{events.NotificationGroup, events.PaymentTopic},
}

// asides are the groups that read what was set aside. They are not looked at
// in every sample: what matters is that nothing waits there in the end.
var asides = func() (list []consumer) {
	for _, group := range events.Groups() {
		list = append(list, consumer{bus.RetryGroup(group), bus.RetryTopic(group)}, consumer{events.OrderGroup, bus.DeadTopic(group)})
	}
	return list
}()

const (
	lagLimit = time.Second // to read the lag of one group
	lagFresh = time.Second // an older reading says nothing of now
)

// Observe hands fn a sample at once and then every interval, until ctx ends.
// What is slow to answer doesn't hold up a sample: lag and breakers are read
// beside it, as often, and stand in the sample as last read.
func (s *Stack) Observe(ctx context.Context, interval time.Duration, fn func(Sample)) {
	o := observer{stack: s, before: map[string]reading{}}
	var readers sync.WaitGroup
	defer readers.Wait()
	readers.Go(func() { every(ctx, interval, func(time.Time) { o.readLag(ctx) }) })
	readers.Go(func() { every(ctx, interval, func(time.Time) { o.readBreakers(ctx) }) })
	every(ctx, interval, func(now time.Time) { fn(o.sample(now)) })
}

// every calls fn now and at each interval until ctx ends.
func every(ctx context.Context, interval time.Duration, fn func(now time.Time)) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for now := time.Now(); ctx.Err() == nil; {
		fn(now)
		select {
		case now = <-tick.C:
		case <-ctx.Done():
		}
	}
}

// observer gathers samples.
type observer struct {
	stack  *Stack
	before map[string]reading // of each replica, at the sample before

	mu       sync.Mutex
	lag      []bus.Lag
	lagAt    time.Time
	breakers []BreakerSample
}

// reading is the usage of one process at one moment.
type reading struct {
	pid int
	at  time.Time
	cpu time.Duration
}

func (o *observer) readLag(ctx context.Context) {
	at := time.Now()
	lag, err := o.stack.readLags(ctx, consumers)
	if err != nil {
		return // its age shows it
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lag, o.lagAt = lag, at
}

func (o *observer) readBreakers(ctx context.Context) {
	breakers := o.stack.readBreakers(ctx)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.breakers = breakers
}

func (o *observer) sample(now time.Time) Sample {
	s := Sample{
		At:        now,
		Ready:     map[Component]int{},
		Desired:   map[Component]int{},
		Processes: map[string]ProcessSample{},
	}
	for _, c := range Components() {
		if len(o.stack.of(c)) > 0 {
			s.Ready[c], s.Desired[c] = 0, o.stack.want(c)
		}
	}
	for _, st := range o.stack.seats {
		st.mu.Lock()
		p, startedAt, ready := st.process, st.startedAt, st.ready
		st.mu.Unlock()
		if ready {
			s.Ready[st.Component]++
		}
		if p == nil {
			continue
		}
		used, err := p.Usage()
		if err != nil {
			continue // it has just ended
		}
		last := o.before[st.Name]
		if last.pid != p.PID() {
			last = reading{pid: p.PID(), at: startedAt}
		}
		s.Processes[st.Name] = ProcessSample{
			PID:      p.PID(),
			CPUCores: cores(used.CPU-last.cpu, now.Sub(last.at)),
			RSSBytes: used.RSSBytes,
		}
		o.before[st.Name] = reading{pid: p.PID(), at: now, cpu: used.CPU}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	s.Lag, s.LagAt, s.Breakers = o.lag, o.lagAt, o.breakers
	s.LagKnown = !o.lagAt.IsZero() && now.Sub(o.lagAt) <= lagFresh
	return s
}

// cores is the mean use of the CPU over a time.
func cores(cpu, over time.Duration) float64 {
	if over <= 0 {
		return 0
	}
	return max(0, float64(cpu)/float64(over))
}

// readLag asks the broker for the lag of one group.
func (s *Stack) readLag(ctx context.Context, c consumer) (bus.Lag, error) {
	ctx, cancel := context.WithTimeout(ctx, lagLimit)
	defer cancel()
	lag, err := s.lag.Read(ctx, c.group, c.topic)
	if err != nil {
		return lag, fmt.Errorf("lag of %s: %w", c.group, err)
	}
	return lag, nil
}

// readLags asks for the lag of consumers; a part of it is an error.
func (s *Stack) readLags(ctx context.Context, consumers []consumer) ([]bus.Lag, error) {
	lags := make([]bus.Lag, len(consumers))
	errs := make([]error, len(consumers))
	var all sync.WaitGroup
	for i, c := range consumers {
		all.Go(func() { lags[i], errs[i] = s.readLag(ctx, c) })
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return lags, nil
}

// readBreakers asks each gateway that runs. One that doesn't answer is left
// out.
func (s *Stack) readBreakers(ctx context.Context) []BreakerSample {
	gateways := s.of(Gateway)
	answers := make([][]BreakerSample, len(gateways))
	var all sync.WaitGroup
	for i, st := range gateways {
		if _, err := st.running(); err != nil {
			continue
		}
		all.Go(func() {
			answers[i], _ = s.probe.breakers(ctx, st.Admin)
			for j := range answers[i] {
				answers[i][j].Replica = st.Name
			}
		})
	}
	all.Wait()
	breakers := []BreakerSample{}
	for _, a := range answers {
		breakers = append(breakers, a...)
	}
	return breakers
}

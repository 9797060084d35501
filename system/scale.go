package system

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ordbench/ordbench/system/autoscale"
)

var errClosing = errors.New("the stack is closing")

// Scale sets how many replicas of a component are wanted and returns when
// they are ready and those too many are gone: the highest go first. Where the
// stack scales by lag, the next poll may decide otherwise.
func (s *Stack) Scale(ctx context.Context, c Component, n int) error {
	if !c.valid() {
		return fmt.Errorf("scale %s: there is no such component", c)
	}
	if room := len(s.of(c)); n < 0 || n > room {
		return fmt.Errorf("scale %s to %d: this stack has room for 0 to %d", c, n, room)
	}
	if err := s.resize(c, n); err != nil {
		return fmt.Errorf("scale %s to %d: %w", c, n, err)
	}
	for i, st := range s.of(c) {
		err := st.await(ctx, func() bool {
			if i < n {
				return st.ready || !st.wanted
			}
			return st.process == nil || st.wanted
		})
		if err != nil {
			return fmt.Errorf("scale %s to %d: %s: %w", c, n, st.Name, err)
		}
	}
	return nil
}

// resize says how many replicas are wanted. It doesn't wait for them.
func (s *Stack) resize(c Component, n int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return errClosing
	}
	s.desired[c] = n
	for i, st := range s.of(c) {
		st.want(i < n)
	}
	return nil
}

// want returns how many replicas of c are wanted.
func (s *Stack) want(c Component) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.desired[c]
}

// startScaler makes the inventory follow its lag.
func (s *Stack) startScaler(life context.Context) {
	ctx, cancel := context.WithCancel(life)
	s.stopScaler = cancel
	if s.cfg.Scaling.By == ScaleByLag {
		s.scaler.Go(func() { s.followLag(ctx) })
	}
}

// prepare makes ready what the scaler may start.
func (s *Stack) prepare(ctx context.Context) {
	defer close(s.prepared)
	f, ok := s.fleet.(Prepared)
	if !ok || s.cfg.Scaling.By != ScaleByLag {
		return
	}
	var more []string
	for _, st := range s.of(Inventory)[s.initial(Inventory):] {
		more = append(more, st.Name)
	}
	f.Prepare(ctx, more)
}

// AwaitPrepared returns when what the scaler may start costs no more than it
// has to, which on some runtimes is seconds after the stack is up. Until then
// making that ready takes processors away from whoever measures.
func (s *Stack) AwaitPrepared(ctx context.Context) {
	select {
	case <-s.prepared:
	case <-ctx.Done():
	}
}

// followLag polls the lag of the inventory and resizes it, until ctx ends. A
// poll that fails changes nothing, as with the original.
func (s *Stack) followLag(ctx context.Context) {
	scaler := autoscale.Scaler{Rule: autoscale.Rule{
		Min:                 s.cfg.Inventory.MinReplicas,
		Max:                 s.cfg.Inventory.MaxReplicas,
		Threshold:           s.cfg.Scaling.LagThreshold,
		StabilizationWindow: s.cfg.Scaling.StabilizationWindow,
	}}
	poll := time.NewTicker(s.cfg.Scaling.PollingInterval)
	defer poll.Stop()
	for {
		select {
		case <-poll.C:
		case <-ctx.Done():
			return
		}
		lag, err := s.readLag(ctx, consumers[0])
		if err != nil {
			if ctx.Err() == nil {
				s.log.Warn("scaling", "error", err)
			}
			continue
		}
		partitions := make([]int64, len(lag.Partitions))
		for i, p := range lag.Partitions {
			partitions[i] = p.Lag
		}
		current := s.want(Inventory)
		desired := scaler.Decide(time.Now(), partitions, current)
		if desired == current {
			continue
		}
		if s.resize(Inventory, desired) == nil {
			s.log.Info("scaled", "component", Inventory, "lag", lag.Total(), "from", current, "to", desired)
		}
	}
}

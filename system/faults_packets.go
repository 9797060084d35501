package system

import (
	"context"
	"fmt"
	"time"
)

// Loss says which packets of a replica are lost.
type Loss struct {
	Share    float64 // of them, more than 0 to 1
	Peer     string  // a component, "client" for this machine, or "all" but this machine
	Sent     bool    // those that it sends
	Received bool    // those that it receives
}

// Packeted is a Process with a network of its own, whose packets can be lost
// and delayed.
type Packeted interface {
	// LosePackets loses packets, and says how many were lost so far; fresh
	// says that nothing was lost before. It may be called again, and then
	// looks where the peers are now.
	LosePackets(ctx context.Context, l Loss) (lost int64, fresh bool, err error)
	// DelayPackets delays what it sends.
	DelayPackets(ctx context.Context, by, jitter time.Duration) (fresh bool, err error)
	// PassPackets ends the loss, and says how many were lost.
	PassPackets(ctx context.Context) (lost int64, err error)
	// UndelayPackets ends the delay.
	UndelayPackets(ctx context.Context) error
}

func (s *Stack) packeted(replica string) (Packeted, error) {
	_, p, err := s.find(replica)
	if err != nil {
		return nil, err
	}
	if n, ok := p.(Packeted); ok {
		return n, nil
	}
	return nil, s.cannot("reach the packets of a process")
}

// LosePackets loses packets of whichever process is in a replica's place.
func (s *Stack) LosePackets(ctx context.Context, replica, peer string, share float64, sent, received bool) (lost int64, fresh bool, err error) {
	p, err := s.packeted(replica)
	if err == nil {
		lost, fresh, err = p.LosePackets(ctx, Loss{Share: share, Peer: peer, Sent: sent, Received: received})
	}
	if err != nil {
		return 0, false, fmt.Errorf("lose packets of %s: %w", replica, err)
	}
	return lost, fresh, nil
}

// DelayPackets delays what whichever process is in a replica's place sends.
func (s *Stack) DelayPackets(ctx context.Context, replica string, by, jitter time.Duration) (fresh bool, err error) {
	p, err := s.packeted(replica)
	if err == nil {
		fresh, err = p.DelayPackets(ctx, by, jitter)
	}
	if err != nil {
		return false, fmt.Errorf("delay packets of %s: %w", replica, err)
	}
	return fresh, nil
}

// UndelayPackets lets packets of a replica leave at once. Those of one that
// has started anew do so already.
func (s *Stack) UndelayPackets(ctx context.Context, replica string) error {
	if _, _, runs := s.running(replica); !runs {
		return nil
	}
	p, err := s.packeted(replica)
	if err == nil {
		err = p.UndelayPackets(ctx)
	}
	if _, _, runs := s.running(replica); err != nil && runs {
		return fmt.Errorf("stop delaying packets of %s: %w", replica, err)
	}
	return nil
}

// PassPackets lets all packets of a replica pass. Those of one that has
// started anew do so already.
func (s *Stack) PassPackets(ctx context.Context, replica string) (lost int64, err error) {
	if _, _, runs := s.running(replica); !runs {
		return 0, nil
	}
	p, err := s.packeted(replica)
	if err == nil {
		lost, err = p.PassPackets(ctx)
	}
	if _, _, runs := s.running(replica); err != nil && runs {
		return 0, fmt.Errorf("let packets of %s pass: %w", replica, err)
	}
	return lost, nil
}

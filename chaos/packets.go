package chaos

import (
	"context"
	"time"
)

// Packets is what replicas send and receive, where each has a network of its
// own.
type Packets interface {
	// LosePackets loses a share of the packets of whichever process is in a
	// replica's place, and says how many were lost. It may be called again;
	// fresh says that nothing was lost before.
	LosePackets(ctx context.Context, replica, peer string, share float64, sent, received bool) (lost int64, fresh bool, err error)
	// DelayPackets delays what it sends.
	DelayPackets(ctx context.Context, replica string, by, jitter time.Duration) (fresh bool, err error)
	// PassPackets ends the loss and says how many were lost.
	PassPackets(ctx context.Context, replica string) (lost int64, err error)
	// UndelayPackets ends the delay.
	UndelayPackets(ctx context.Context, replica string) error
}

// sharedNetwork is why there are no packet faults on the local runtime.
const sharedNetwork = "its processes share the network of this machine; take a link fault"

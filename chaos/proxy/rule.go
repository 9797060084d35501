package proxy

import (
	"hash/fnv"
	"math"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// Direction is the way of bytes on a link.
type Direction int

// The directions. Forward is from who opens connections to who takes them.
const (
	Both Direction = iota
	Forward
	Backward
)

func (d Direction) covers(way Direction) bool { return d == Both || way == Both || d == way }

// Rule is one disturbance of a link. Several may stand on a link: each
// connection meets those whose share it is in.
type Rule struct {
	Direction Direction
	Share     float64 // of the connections; 0 is all

	Delay  time.Duration // of each piece of data
	Jitter time.Duration // around Delay
	Spread Spread        // how the jitter is drawn

	BytesPerSecond int64         // 0: no limit
	PieceBytes     int           // largest piece that is written at once; 0: as it comes
	PieceGap       time.Duration // between two pieces

	Hold       bool          // nothing passes; what comes waits
	Mute       bool          // nothing passes; what comes is lost, and the connection stays open
	Reset      bool          // connections are reset; one way, only the end that it leads to, and the other hears nothing
	ResetAfter time.Duration // after they have been open, or met the rule, for that long
	CloseAfter int64         // bytes of a connection, after which it is closed; 0: never
	Refuse     bool          // nobody listens, and open connections are reset; of a share or one way see turnsAway
}

// turnsAway says that connections are reset at once by a rule that refuses.
// Where that is for all of them, nobody listens. A rule of one way resets those
// that send something on it, and lets the other way pass.
func (r Rule) turnsAway() bool { return r.Refuse && r.Direction == Both }

// everybody says that the rule is met by all connections.
func (r Rule) everybody() bool { return r.Share <= 0 || r.Share >= 1 }

// Spread is how a jitter is drawn.
type Spread string

// The spreads of a jitter.
const (
	Uniform Spread = "uniform" // evenly, up to the jitter to both sides
	Normal  Spread = "normal"  // a bell whose standard deviation is the jitter
	Pareto  Spread = "pareto"  // mostly nothing, sometimes far more: a long tail above Delay
)

// draw is one delay.
func (r Rule) draw() time.Duration {
	if r.Jitter == 0 {
		return r.Delay
	}
	j := float64(r.Jitter)
	var off float64
	switch r.Spread {
	case Normal:
		off = rand.NormFloat64() * j
	case Pareto:
		// Shape 2 has the mean 1 above its least value; the tail ends at
		// fifty times that, lest one draw holds a connection for minutes.
		off = j * (min(1/math.Sqrt(1-rand.Float64()), 50) - 1)
	default:
		off = (2*rand.Float64() - 1) * j
	}
	return max(0, r.Delay+time.Duration(off))
}

// Count is what a rule has done.
type Count struct {
	Connections int64         // that met it
	Bytes       int64         // that it delayed, held, swallowed or cut
	Delayed     int64         // pieces of data that it delayed
	Delay       time.Duration // of those, on average, as they left
	MaxDelay    time.Duration
}

// Met says that something met the rule.
func (c Count) Met() bool { return c.Connections > 0 || c.Bytes > 0 }

// Plus is what the rule has done on two links together.
func (c Count) Plus(d Count) Count {
	if n := c.Delayed + d.Delayed; n > 0 {
		c.Delay = (c.Delay*time.Duration(c.Delayed) + d.Delay*time.Duration(d.Delayed)) / time.Duration(n)
	}
	c.Connections += d.Connections
	c.Bytes += d.Bytes
	c.Delayed += d.Delayed
	c.MaxDelay = max(c.MaxDelay, d.MaxDelay)
	return c
}

// standing is a rule on a link.
type standing struct {
	Rule
	id      string
	lifted  chan struct{} // closed when the rule is taken away
	conns   atomic.Int64
	bytes   atomic.Int64
	delayed atomic.Int64
	delays  atomic.Int64 // sum, in ns
	longest atomic.Int64 // ns
}

// meets says whether a connection is in the share of the rule: the same for
// as long as both last.
func (s *standing) meets(conn uint64) bool {
	if s.everybody() {
		return true
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(s.id)) // a hash takes everything
	x := (h.Sum64() ^ conn) * 0x9e3779b97f4a7c15
	x ^= x >> 32
	x *= 0xd6e8feb86659fd93
	x ^= x >> 32
	return float64(x>>11)/math.Exp2(53) < s.Share
}

func (s *standing) late(d time.Duration) {
	s.delayed.Add(1)
	s.delays.Add(int64(d))
	for {
		old := s.longest.Load()
		if int64(d) <= old || s.longest.CompareAndSwap(old, int64(d)) {
			return
		}
	}
}

func (s *standing) count() Count {
	c := Count{Connections: s.conns.Load(), Bytes: s.bytes.Load(), Delayed: s.delayed.Load(), MaxDelay: time.Duration(s.longest.Load())}
	if c.Delayed > 0 {
		c.Delay = time.Duration(s.delays.Load() / c.Delayed)
	}
	return c
}

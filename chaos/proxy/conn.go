package proxy

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// chunkBytes is how much is read at once, and windowChunks how many of those
// may be on their way: a connection with a delay of 200 ms still carries
// 20 MB/s.
const (
	chunkBytes   = 32 << 10
	windowChunks = 128
)

// conn is one connection through the link.
type conn struct {
	link           *Link
	id             uint64 // 0: a probe, which is in every share
	client, server net.Conn
	gone           chan struct{} // closed: it was ended

	mu    sync.Mutex
	met   map[*standing]time.Time // since when it meets a rule
	lost  bool                    // bytes are missing: it can't be healed
	torn  Direction               // the way to the end that was reset alone; Both: none was
	ended sync.Once
}

// run passes bytes on in both directions until both are done.
func (c *conn) run() {
	stop := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() { c.watch(stop) })
	var ways sync.WaitGroup
	ways.Go(func() { c.pass(Forward, c.client, c.server) })
	ways.Go(func() { c.pass(Backward, c.server, c.client) })
	ways.Wait()
	close(stop)
	watch.Wait()
	c.end(func(side net.Conn) { side.Close() })
}

// reset ends the connection the hard way.
func (c *conn) reset() { c.end(reset) }

func (c *conn) end(how func(net.Conn)) {
	c.ended.Do(func() {
		close(c.gone)
		how(c.client)
		how(c.server)
	})
}

// rules are those that the connection meets now on one way.
func (c *conn) rules(way Direction) []*standing {
	var met []*standing
	for _, s := range *c.link.rules.Load() {
		if s.Direction.covers(way) && (c.id == 0 || s.meets(c.id)) {
			met = append(met, s)
			c.meet(s)
		}
	}
	return met
}

// meet returns since when the connection meets a rule.
func (c *conn) meet(s *standing) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	since, before := c.met[s]
	if !before {
		since = time.Now()
		c.met[s] = since
		if c.id != 0 && (!s.Refuse || s.Direction == Both) { // that is met by what is sent
			s.conns.Add(1)
		}
	}
	return since
}

// tear resets the end that a way leads to. The other one is left open: what
// it sends is lost, and nothing comes.
func (c *conn) tear(way Direction) {
	c.mu.Lock()
	c.torn, c.lost = way, true
	c.mu.Unlock()
	if way == Forward {
		reset(c.server)
	} else {
		reset(c.client)
	}
}

// tornTo is the way to the end that was reset alone, Both if there is none.
func (c *conn) tornTo() Direction {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.torn
}

// isTorn says that an end was reset alone.
func (c *conn) isTorn(end net.Conn) bool {
	switch c.tornTo() {
	case Forward:
		return end == c.server
	case Backward:
		return end == c.client
	}
	return false
}

// watch resets the connection when a rule says so.
func (c *conn) watch(stop <-chan struct{}) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		news := c.link.news()
		c.mu.Lock()
		broken, torn := c.lost, c.torn
		c.mu.Unlock()
		var due time.Time
		var way Direction // to the end that is reset when it is due
		kept, refused := false, false
		for _, s := range c.rules(Both) {
			refused = refused || s.turnsAway()
			kept = kept || s.Mute
			switch at := c.meet(s).Add(s.ResetAfter); {
			case !s.Reset:
			case torn != Both && s.Direction == torn:
				kept = true
			case due.IsZero() || at.Before(due):
				due, way = at, s.Direction
			}
		}
		isDue := !due.IsZero() && !time.Now().Before(due)
		switch {
		case refused, broken && !kept, isDue && (way == Both || torn != Both):
			c.reset()
			return
		case isDue:
			c.tear(way)
			continue
		}
		var over <-chan time.Time
		if !due.IsZero() {
			timer.Reset(time.Until(due))
			over = timer.C
		}
		select {
		case <-news:
		case <-over:
		case <-stop:
			return
		}
	}
}

// chunk is data on its way.
type chunk struct {
	data []byte
	read time.Time
}

// pass carries bytes one way. One goroutine reads and stamps, so that a delay
// counts from when the data came; the other writes when they are due.
func (c *conn) pass(way Direction, from, to net.Conn) {
	queue := make(chan chunk, windowChunks)
	spent := make(chan struct{}) // the writer has given up
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(queue)
		for {
			buf := make([]byte, chunkBytes)
			n, err := from.Read(buf)
			if n > 0 {
				select {
				case queue <- chunk{buf[:n], time.Now()}:
				case <-spent:
					return
				}
			}
			if err != nil {
				if !errors.Is(err, io.EOF) && !c.isTorn(from) {
					c.reset() // a peer that broke off is not a peer that finished
				}
				return
			}
		}
	})
	w := &writer{conn: c, way: way, to: to}
	for ch := range queue {
		if c.tornTo() == Both && w.write(ch) != nil && c.tornTo() == Both {
			break
		}
	}
	close(spent)
	tcp, ok := to.(*net.TCPConn)
	switch {
	case c.tornTo() != Both: // the end that is left is told nothing
	case errors.Is(w.err, errSpent):
		c.end(func(side net.Conn) { side.Close() })
	case w.err != nil:
		c.reset()
	case ok:
		_ = tcp.CloseWrite() // the other way goes on
	default:
		to.Close()
	}
	reading.Wait()
}

package proxy

import (
	"errors"
	"net"
	"slices"
	"time"
)

// writer writes what has come, as the rules of its way want it.
type writer struct {
	conn *conn
	way  Direction
	to   net.Conn
	err  error

	due  time.Time // of the last chunk: what came later leaves later
	free time.Time // when the bandwidth is free again
	sent int64
}

var (
	errCut   = errors.New("the connection has ended")
	errSpent = errors.New("the connection has carried as much as a rule lets it")
)

// write takes one chunk through the rules.
func (w *writer) write(ch chunk) error {
	rules, err := w.admit(ch)
	if err != nil || rules == nil {
		w.err = err
		return err
	}
	due := ch.read
	var lifted <-chan struct{} // a delay ends with its rule
	for _, s := range rules {
		if s.Delay > 0 || s.Jitter > 0 {
			due, lifted = due.Add(s.draw()), s.lifted
		}
	}
	// A delay that is drawn shorter must not overtake.
	if due.Before(w.due) {
		due = w.due
	}
	w.due = due
	if err := w.wait(time.Until(due), lifted); err != nil {
		w.err = err
		return err
	}
	for _, s := range rules {
		if s.Delay > 0 || s.Jitter > 0 {
			s.late(time.Since(ch.read))
			s.bytes.Add(int64(len(ch.data)))
		}
	}
	w.err = w.pieces(ch.data, rules)
	return w.err
}

// admit waits where a rule holds everything back, and says which rules are
// left to obey; nil and no error: the chunk is lost.
func (w *writer) admit(ch chunk) ([]*standing, error) {
	for {
		rules := w.conn.rules(w.way)
		if i := slices.IndexFunc(rules, func(s *standing) bool { return s.Mute }); i >= 0 {
			rules[i].bytes.Add(int64(len(ch.data)))
			w.conn.mu.Lock()
			w.conn.lost = true
			w.conn.mu.Unlock()
			return nil, nil
		}
		if i := slices.IndexFunc(rules, func(s *standing) bool { return s.Refuse && s.Direction != Both }); i >= 0 {
			rules[i].bytes.Add(int64(len(ch.data)))
			if w.conn.id != 0 {
				rules[i].conns.Add(1)
			}
			return nil, errCut
		}
		i := slices.IndexFunc(rules, func(s *standing) bool { return s.Hold })
		if i < 0 {
			return append([]*standing{}, rules...), nil
		}
		rules[i].bytes.Add(int64(len(ch.data)))
		select { // what stands after it may be something else
		case <-rules[i].lifted:
		case <-w.conn.gone:
			return nil, errCut
		}
	}
}

// pieces writes data in pieces as large and as fast as the rules allow.
func (w *writer) pieces(data []byte, rules []*standing) error {
	for len(data) > 0 {
		size, gap := len(data), time.Duration(0)
		var rate int64
		for _, s := range rules {
			if s.PieceBytes > 0 && s.PieceBytes < size {
				size, gap = s.PieceBytes, max(gap, s.PieceGap)
				s.bytes.Add(int64(size))
			}
			if s.BytesPerSecond > 0 {
				s.bytes.Add(int64(size))
				if rate == 0 || s.BytesPerSecond < rate {
					rate = s.BytesPerSecond
				}
			}
		}
		if rate > 0 {
			// Fifty pieces a second: a limit should flow, not come in gulps.
			size = min(size, max(1, int(rate/50)))
		}
		for _, s := range rules {
			if s.CloseAfter > 0 && w.sent+int64(size) > s.CloseAfter {
				left := max(0, s.CloseAfter-w.sent)
				_, _ = w.to.Write(data[:left]) // it ends here either way
				s.bytes.Add(int64(size) - left)
				return errSpent
			}
		}
		if _, err := w.to.Write(data[:size]); err != nil {
			return err
		}
		w.sent += int64(size)
		data = data[size:]
		if rate > 0 {
			// A sleep that was too long is made up for by the next ones, but
			// nobody saves up what an idle link did not carry.
			if now := time.Now(); now.Sub(w.free) > idleAfter {
				w.free = now
			}
			w.free = w.free.Add(time.Duration(float64(size) / float64(rate) * float64(time.Second)))
			if err := w.wait(time.Until(w.free), nil); err != nil {
				return err
			}
		}
		if len(data) > 0 {
			if err := w.wait(gap, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// idleAfter is how late a piece may be and still be part of the same flow.
const idleAfter = 50 * time.Millisecond

// wait waits for d, or until a rule is lifted; it fails when the connection
// has ended meanwhile.
func (w *writer) wait(d time.Duration, lifted <-chan struct{}) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-lifted:
	case <-w.conn.gone:
		return errCut
	}
	return nil
}

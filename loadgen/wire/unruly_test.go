package wire

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/ordbench/ordbench/loadgen"
)

// unruly is an order service that misbehaves at random and keeps its own
// account of orders, against which the generator's is held.
type unruly struct {
	enter func(key string, status int) // into its account; 0 is a request that arrived in full

	mu    sync.Mutex
	rng   *rand.Rand
	bad   int // of a hundred requests, how many have something happen to them
	conns map[net.Conn]bool
	down  bool
}

func newUnruly(seed uint64, enter func(key string, status int)) *unruly {
	rng := rand.New(rand.NewPCG(seed, 0))
	return &unruly{enter: enter, rng: rng, bad: 10 + rng.IntN(60), conns: map[net.Conn]bool{}}
}

// serve answers on one connection until it has broken it.
func (u *unruly) serve(_ int, c net.Conn) {
	u.mu.Lock()
	if u.down {
		u.mu.Unlock()
		return
	}
	u.conns[c] = true
	u.mu.Unlock()
	defer func() {
		u.mu.Lock()
		delete(u.conns, c)
		u.mu.Unlock()
	}()
	in := bufio.NewReader(c)
	for {
		if _, err := in.Peek(1); err != nil {
			return
		}
		if u.draw(100) < 2 { // reset with the request unread
			reset(c)
			return
		}
		req, err := readRequest(in)
		if err != nil {
			return
		}
		key := req.Header.Get("Idempotency-Key")
		u.note(key, 0)
		if !u.answer(c, in, key) {
			return
		}
	}
}

// answer does one thing or the other, and says if the connection still works.
// An order has a key, and what asks for one has none.
func (u *unruly) answer(c net.Conn, in *bufio.Reader, key string) bool {
	whole := func(status int, before, header, body, behind string) bool {
		u.note(key, status)
		_, err := fmt.Fprintf(c, "%sHTTP/1.1 %d Status\r\n%sContent-Length: %d\r\n\r\n%s%s", before, status, header, len(body), body, behind)
		return err == nil
	}
	status, good := 202, fmt.Sprintf(`{"order_id":"of-%s","status":"PENDING"}`, key)
	if key == "" {
		status, good = 200, `{"status":"CONFIRMED"}`
	}
	if u.draw(100) >= u.bad {
		return whole(status, "", "", good, "")
	}
	switch u.draw(19) {
	case 0:
		reset(c)
		return false
	case 1:
		return false // closed
	case 2: // half a head
		io.WriteString(c, "HTTP/1.1 202 Acc")
		return false
	case 3: // half a body
		io.WriteString(c, "HTTP/1.1 202 Accepted\r\nContent-Length: 100\r\n\r\n{\"order")
		return false
	case 4: // half a chunk
		io.WriteString(c, "HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n50\r\n{\"order")
		return false
	case 5:
		io.WriteString(c, "\x16\x03\x01garbage\r\n\r\n")
		return false
	case 6: // garbage of any kind and length
		p := make([]byte, 1+u.draw(300))
		for i := range p {
			p[i] = byte(u.draw(256))
		}
		c.Write(p)
		return false
	case 7:
		io.WriteString(c, "HTTP/1.1 202 Accepted\r\nContent-Length: -7\r\n\r\n"+good)
		return false
	case 8:
		in.ReadByte() // hangs until the client leaves
		return false
	case 9: // slow: some of it comes too late
		u.note(key, status)
		fmt.Fprintf(c, "HTTP/1.1 %d Status\r\nContent-Length: %d\r\n\r\n", status, len(good))
		pause := time.Duration(u.draw(40)) * time.Millisecond
		for part := range slices.Chunk([]byte(good), 16) {
			if _, err := c.Write(part); err != nil {
				return false
			}
			<-time.After(pause)
		}
		return true
	case 10:
		return whole(429, "", "X-Refused-By: rate-limit\r\n", "", "")
	case 11:
		return whole(503, "", "X-Refused-By: breaker\r\n", "no", "")
	case 12:
		return whole(500, "", "", "oops", "")
	case 13:
		return whole(422, "", "", "", "")
	case 14: // first something else
		return whole(status, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", "", good, "")
	case 15: // and an answer that nobody asked for
		return whole(status, "", "", good, "HTTP/1.1 202 Accepted\r\nContent-Length: 40\r\n\r\n{\"order_id\":\"of-none\",\"status\":\"PENDING\"}")
	case 16:
		u.note(key, status)
		fmt.Fprintf(c, "HTTP/1.1 %d Status\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n", status, good[:1], len(good)-1, good[1:])
		return true
	case 17:
		whole(status, "", "", good, "")
		return false // closed without a word: the client finds out later
	}
	return whole(status, "", "Connection: close\r\n", good, "") && false
}

// note enters what happens to an order into the account.
func (u *unruly) note(key string, status int) {
	if key != "" {
		u.enter(key, status)
	}
}

func (u *unruly) draw(n int) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.rng.IntN(n)
}

// stop ends all connections and takes no new ones until start.
func (u *unruly) stop() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.down = true
	for c := range u.conns {
		reset(c)
	}
}

func (u *unruly) start() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.down = false
}

func (u *unruly) isDown() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.down
}

func reset(c net.Conn) {
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
}

// book is what a server says that it did with each order.
type book struct {
	mu     sync.Mutex
	orders map[string]fate // by idempotency key
}

// fate is what the server did with one order.
type fate struct {
	seen   int // requests that arrived in full
	status int // of the answer that it was about to give; 0: none
}

// enter notes a request that arrived, or the status of its answer.
func (b *book) enter(key string, status int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.orders == nil {
		b.orders = map[string]fate{}
	}
	f := b.orders[key]
	if status == 0 {
		f.seen++
	} else {
		f.status = status
	}
	b.orders[key] = f
}

// compare holds each attempt of the ledger against what the server knows. It
// gives how many there are, how many of them happened, and what does not match.
func (b *book) compare(ledger []byte) (lines, happened uint64, wrong []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	add := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	known := map[string]bool{}
	err := loadgen.ReadLedger(bytes.NewReader(ledger), func(a loadgen.Attempt) error {
		lines++
		if known[a.Key] {
			add("%s has two lines", a.Key)
		}
		known[a.Key] = true
		f := b.orders[a.Key]
		switch {
		case f.seen > 1:
			add("%s was sent %d times", a.Key, f.seen)
		case a.Certainty == loadgen.Happened && (f.status != 202 || a.OrderID != "of-"+a.Key):
			add("%s is said to have happened as %q, the server answered %d", a.Key, a.OrderID, f.status)
		case a.Certainty == loadgen.Refuted && a.Status == 0 && f.seen > 0:
			add("%s is said not to have arrived (%s), the server saw it", a.Key, a.Reason)
		case a.Certainty == loadgen.Refuted && a.Status != f.status:
			add("%s is said to have been refused with %d, the server answered %d", a.Key, a.Status, f.status)
		case a.Sent < 0 && f.seen > 0:
			add("%s is said never to have been sent, the server saw it", a.Key)
		}
		if a.Certainty == loadgen.Happened {
			happened++
		}
		return nil
	})
	if err != nil {
		add("%v", err)
	}
	for key := range b.orders {
		if !known[key] {
			add("the server saw %s, which is not in the ledger", key)
		}
	}
	return lines, happened, wrong
}

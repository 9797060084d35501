package traces

import (
	"sync"
	"time"
)

// mostKept bounds the backlog, in bytes: an order is some 1 KB.
const mostKept = 128 << 20

// backlog is the export requests that have come and were not read yet, oldest
// first. To read one takes more than to keep it, and during a run the system
// under test needs the processor.
type backlog struct {
	mu       sync.Mutex
	requests []arrival
	size     int // bytes
	most     int
}

// arrival is a request, and when it came.
type arrival struct {
	request []byte
	at      time.Time
}

// keep adds a request, and returns the oldest that there is no more room for.
func (l *backlog) keep(request []byte, at time.Time) (tooMany []arrival) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests = append(l.requests, arrival{request, at})
	l.size += len(request)
	n := 0
	for l.size > l.most {
		l.size -= len(l.requests[n].request)
		n++
	}
	tooMany, l.requests = l.requests[:n:n], l.requests[n:]
	return tooMany
}

// empty takes all of it.
func (l *backlog) empty() []arrival {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.requests
	l.requests, l.size = nil, 0
	return all
}

package wire

import (
	"container/heap"

	"github.com/ordbench/ordbench/loadgen"
)

// later holds calls that wait for their time and have no connection
// meanwhile: the next steps of flows. The memory of calls goes round.
type later struct {
	calls []*loadgen.Call // a heap, the one that is due first on top
	spare []*loadgen.Call
}

func (q *later) Len() int           { return len(q.calls) }
func (q *later) Less(i, j int) bool { return q.calls[i].Due < q.calls[j].Due }
func (q *later) Swap(i, j int)      { q.calls[i], q.calls[j] = q.calls[j], q.calls[i] }
func (q *later) Push(c any)         { q.calls = append(q.calls, c.(*loadgen.Call)) }

func (q *later) Pop() any {
	last := len(q.calls) - 1
	c := q.calls[last]
	q.calls = q.calls[:last]
	return c
}

// put takes the content of c, which is left with other memory.
func (q *later) put(c *loadgen.Call) {
	if len(q.spare) == 0 {
		q.spare = append(q.spare, new(loadgen.Call))
	}
	last := len(q.spare) - 1
	mine := q.spare[last]
	q.spare = q.spare[:last]
	*mine, *c = *c, *mine
	heap.Push(q, mine)
}

// get moves the call that is due first into c.
func (q *later) get(c *loadgen.Call) {
	mine := heap.Pop(q).(*loadgen.Call)
	*mine, *c = *c, *mine
	q.spare = append(q.spare, mine)
}

// tell says what became of a call, and keeps what comes of it.
func (l *loop) tell(c *conn) {
	l.job.Replies.Done(&c.call, &c.reply)
	switch {
	case l.steps == nil:
	case l.steps.GoesOn(&c.call):
		l.later.put(&c.call)
	default:
		l.more = true // in a closed loop whoever was answered has another call
	}
}

// beginLater starts the call that waits for its time, if that has come and it
// is before that of the call that is held.
func (l *loop) beginLater() bool {
	if l.isStopped() {
		l.dropLater()
		return true
	}
	now, due := l.os.now(), l.later.calls[0].Due
	if now < due || l.held != nil && l.held.call.Due <= due {
		return false
	}
	c := l.free()
	if c == nil && l.held != nil {
		// The held one has longer to wait: they change places.
		c, l.held = l.held, nil
		l.later.put(&c.call)
	}
	if c == nil {
		return false
	}
	l.later.get(&c.call)
	c.out, c.unfit = l.origin.append(c.out[:0], &c.call)
	l.start(c, now)
	return true
}

// dropLater settles what waits when the load was stopped.
func (l *loop) dropLater() {
	var c loadgen.Call
	for len(l.later.calls) > 0 {
		l.later.get(&c)
		r := loadgen.Reply{Sent: -1, Done: l.os.now(), Failure: loadgen.Stopped}
		if r.Done < c.Due {
			r.Failure = loadgen.Withdrawn
		}
		l.job.Replies.Done(&c, &r)
	}
}

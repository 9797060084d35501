package bus

import (
	"container/heap"
	"strconv"
	"time"
)

// maxWaiting bounds how many messages one consumer holds until they are due.
const maxWaiting = 10_000

// waiting holds messages until they are due. They become due in another order
// than that of the log, so an offset may be committed only when everything
// below it is done: what a crash repeats is what waited, and what was done
// beside it.
type waiting struct {
	due  dueHeap
	open backlogs
}

// backlogs are what is open of each partition.
type backlogs map[place]*backlog

type place struct {
	topic     string
	partition int
}

// backlog is what was read of a partition from its oldest open message on.
type backlog struct {
	offsets []int64
	done    map[int64]bool
}

type dueMessage struct {
	Message
	at time.Time
}

func newWaiting() *waiting { return &waiting{open: backlogs{}} }

func (w *waiting) add(batch []Message) {
	for _, m := range batch {
		w.open.add(m)
		// What does not say when is due at once.
		micros, _ := strconv.ParseInt(m.Header(HeaderDue), 10, 64)
		heap.Push(&w.due, dueMessage{m, time.UnixMicro(micros)})
	}
}

// add opens a message, which comes after all of its partition that are open.
func (o backlogs) add(m Message) {
	p := place{m.Topic, m.Partition}
	b := o[p]
	if b == nil {
		b = &backlog{done: map[int64]bool{}}
		o[p] = b
	}
	b.offsets = append(b.offsets, m.Offset)
}

func (w *waiting) full() bool { return len(w.due) >= maxWaiting }

// next is how long to wait for the next message to be due; false: none waits.
func (w *waiting) next(now time.Time) (time.Duration, bool) {
	if len(w.due) == 0 {
		return 0, false
	}
	return max(0, w.due[0].at.Sub(now)), true
}

// take returns what is due, at most so many.
func (w *waiting) take(now time.Time, limit int) []Message {
	var batch []Message
	for len(w.due) > 0 && len(batch) < limit && !w.due[0].at.After(now) {
		batch = append(batch, heap.Pop(&w.due).(dueMessage).Message)
	}
	return batch
}

// finish notes that batch is done, moves p as far as everything is, and says
// by how many messages that was.
func (o backlogs) finish(batch []Message, p progress) (closed int) {
	for _, m := range batch {
		b := o[place{m.Topic, m.Partition}]
		b.done[m.Offset] = true
		for len(b.offsets) > 0 && b.done[b.offsets[0]] {
			delete(b.done, b.offsets[0])
			p.set(m.Topic, m.Partition, b.offsets[0]+1)
			b.offsets = b.offsets[1:]
			closed++
		}
	}
	return closed
}

// dueHeap is a container/heap, the earliest first.
type dueHeap []dueMessage

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h dueHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *dueHeap) Push(x any)        { *h = append(*h, x.(dueMessage)) }
func (h *dueHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = dueMessage{}
	*h = old[:len(old)-1]
	return last
}

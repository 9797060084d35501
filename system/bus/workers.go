package bus

import (
	"context"
	"hash/fnv"
	"io"
	"strconv"
	"sync"
)

// workers handle the messages of one assignment side by side. Those of a key
// go to the same worker, one batch after the other, so they keep their order;
// those of other keys do not wait for them, also within a partition.
type workers struct {
	*consumer
	queues []chan Message
	done   chan []Message // batches that were handled or set aside
	open   backlogs
	held   int // messages from the lowest open one of each partition on
	all    sync.WaitGroup
	over   bool // it has ended

	next Message      // to be handed on
	to   chan Message // its worker; nil: there is none
}

// employ starts the workers of a session, who count as a batch under way until
// it ends. work is the context of the handler; what has failed when over has
// ended is given up.
func (c *consumer) employ(work, over context.Context) *workers {
	c.busy.RLock()
	w := &workers{consumer: c, done: make(chan []Message), open: backlogs{}}
	for range c.cfg.Concurrency {
		queue := make(chan Message, c.cfg.MaxBatch)
		w.queues = append(w.queues, queue)
		w.all.Go(func() {
			for first := range queue {
				batch := c.batch(first, queue)
				if !c.work(work, over, batch) {
					return
				}
				w.done <- batch
			}
		})
	}
	return w
}

// take makes m the message that is to be handed on.
func (w *workers) take(m Message) {
	w.open.add(m)
	w.held++
	w.next, w.to = m, w.queues[w.place(m)]
}

// full says that so much is done above a message that takes long that it has
// to end first.
func (w *workers) full() bool { return w.held >= maxWaiting }

// finish counts in what a worker has done.
func (w *workers) finish(batch []Message, p progress) { w.held -= w.open.finish(batch, p) }

// place is the worker of a message.
func (w *workers) place(m Message) int {
	h := fnv.New32a()
	key := m.Key
	if key == "" { // then the partition has an order, and nothing else
		key = m.Topic + "/" + strconv.Itoa(m.Partition)
	}
	_, _ = io.WriteString(h, key) // a hash takes everything
	return int(h.Sum32() % uint32(len(w.queues)))
}

// end waits until the workers have done what they were handed, and counts it
// in: what is left of one of them, below what another has done, would make the
// next who has the partitions do that again.
func (w *workers) end(p progress) {
	if w.over {
		return
	}
	w.over = true
	defer w.busy.RUnlock()
	for _, queue := range w.queues {
		close(queue)
	}
	go func() {
		w.all.Wait()
		close(w.done)
	}()
	for batch := range w.done {
		w.finish(batch, p)
	}
}

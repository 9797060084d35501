package store

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/ordbench/ordbench/system/lever"
)

// batchSize bounds how many callers share a commit, and so how long one
// process may keep the others out.
const batchSize = 256

// Write runs fn in a transaction and returns nil once its effects are on
// disk. Callers that come at the same time share the transaction: if fn returns
// an error or panics, that is the error of Write and only fn's own effects are
// undone. An error of the commit itself, such as a full disk, is the error of
// every caller in it.
//
// If ctx ends before the transaction begins, fn never runs and Write returns
// the cause.
// From then on Write waits for the outcome, so that it is never unknown.
//
// fn runs on the writer's goroutine and everyone waits for it: it must do
// nothing but use tx, and must not keep tx. Where another caller fails, or a
// server asks for it, it runs again, and only what it did the last time counts.
func (db *DB) Write(ctx context.Context, fn func(*Tx) error) error {
	if err := lever.SlowStore.Delay(ctx); err != nil {
		return err
	}
	if lever.FailStore.Acts() != nil {
		return errRefused
	}
	r := &request{fn: fn, answer: make(chan error, 1)}
	if !db.queue.add(r) {
		return ErrClosed
	}
	select {
	case err := <-r.answer:
		return err
	case <-ctx.Done():
		if r.claim() {
			return context.Cause(ctx)
		}
		return <-r.answer
	}
}

// errRefused is what a lever makes of a write.
var errRefused = errors.New("the database was made to refuse the write")

// Stats counts what a DB has committed since it was opened.
type Stats struct {
	Commits uint64 // transactions, each one flush
	Writes  uint64 // calls of Write in them
}

// Stats says how well callers share commits.
func (db *DB) Stats() Stats {
	return Stats{Commits: db.queue.commits.Load(), Writes: db.queue.writes.Load()}
}

// request is one call of Write.
type request struct {
	fn      func(*Tx) error
	claimed atomic.Bool // by the writer, to run it, or by its caller, to drop it
	answer  chan error
}

func (r *request) claim() bool { return r.claimed.CompareAndSwap(false, true) }

// queue is the calls of Write that wait for a transaction.
type queue struct {
	mu      sync.Mutex
	waiting []*request
	stopped bool
	more    chan struct{} // holds a token while something may wait

	commits, writes atomic.Uint64
}

func newQueue() *queue { return &queue{more: make(chan struct{}, 1)} }

func (q *queue) add(r *request) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.stopped {
		return false
	}
	q.waiting = append(q.waiting, r)
	notify(q.more)
	return true
}

// stop is true for the first who calls it.
func (q *queue) stop() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	first := !q.stopped
	q.stopped = true
	notify(q.more)
	return first
}

// take removes the head of the queue, n calls at the most.
func (q *queue) take(n int) []*request {
	q.mu.Lock()
	defer q.mu.Unlock()
	n = min(len(q.waiting), n)
	batch := q.waiting[:n:n]
	if q.waiting = q.waiting[n:]; len(q.waiting) > 0 || q.stopped {
		notify(q.more) // for the next worker
	}
	return batch
}

// state says whether somebody waits, and whether more may come.
func (q *queue) state() (work, open bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting) > 0, !q.stopped
}

// work calls turn whenever somebody waits, until stop was called and nobody
// does. turn takes for itself whom it serves.
func (q *queue) work(turn func()) {
	for {
		work, open := q.state()
		switch {
		case work:
			turn()
		case open:
			<-q.more
		default:
			notify(q.more) // let the next worker see it too
			return
		}
	}
}

// fail answers those who have not run with err.
func fail(batch []*request, err error) {
	for _, r := range batch {
		if r.claim() {
			r.answer <- err
		}
	}
}

// call contains what fn does: a panic must not take the other callers along.
// What a statement broke is the error whatever fn says.
func (tx *Tx) call(fn func(*Tx) error) (err error) {
	defer func() {
		tx.over = true
		if v := recover(); v != nil {
			err = fmt.Errorf("panic in a write: %v\n%s", v, debug.Stack())
		}
	}()
	if err := fn(tx); err != nil {
		return err
	}
	return tx.failed
}

// notify leaves a token in c unless one is there.
func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

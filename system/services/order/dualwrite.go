package order

import (
	"context"
	"log/slog"
	"time"

	"github.com/ordbench/ordbench/system/bus"
	"github.com/ordbench/ordbench/system/store"
)

const (
	dualQueue    = 10_000                // events in memory, at most
	dualBatch    = 500                   // events per publish
	dualLinger   = 20 * time.Millisecond // how long the first event of a batch waits for others
	dualPatience = 3 * time.Second       // how long a batch is tried
	dualPause    = 100 * time.Millisecond
)

// dualWrite is how events are sent by who has no outbox: the order is
// committed and answered, then its event goes to the broker out of memory, in
// batches. It is what many systems do, and the order whose event is in memory
// when the process is killed, or when the broker is away for longer than the
// patience, stays PENDING for ever.
type dualWrite struct {
	queue    chan store.Message
	finished chan struct{} // closed when no more events come
	sent     chan struct{} // closed when run has ended
	publish  func(context.Context, ...bus.Message) error
	linger   time.Duration
	patience time.Duration
	lost     counter
	log      *slog.Logger
}

// counter is a prometheus.Counter, or what a test counts with.
type counter interface{ Add(float64) }

func newDualWrite(publish func(context.Context, ...bus.Message) error, lost counter, log *slog.Logger) *dualWrite {
	return &dualWrite{
		queue:    make(chan store.Message, dualQueue),
		finished: make(chan struct{}),
		sent:     make(chan struct{}),
		publish:  publish,
		linger:   dualLinger,
		patience: dualPatience,
		lost:     lost,
		log:      log,
	}
}

// send takes an event to be published. It never waits: a full queue loses
// the event.
func (d *dualWrite) send(m store.Message) {
	select {
	case d.queue <- m:
	default:
		d.drop([]bus.Message{outgoing(m)}, "the queue is full")
	}
}

// finish says that no more events come.
func (d *dualWrite) finish() { close(d.finished) }

// settle says that no more events come, and waits until all are published.
func (d *dualWrite) settle(ctx context.Context) {
	d.finish()
	select {
	case <-d.sent:
	case <-ctx.Done():
	}
}

// run publishes until finish was called and the queue is empty, or until ctx
// ends. It runs once.
func (d *dualWrite) run(ctx context.Context) {
	defer close(d.sent)
	for {
		batch := d.collect()
		if len(batch) == 0 {
			return
		}
		if err := d.deliver(ctx, batch); err != nil {
			d.drop(batch, err.Error())
		}
	}
}

// collect waits for an event and gathers what else comes while it lingers.
// It is empty once the queue is and no more events come.
func (d *dualWrite) collect() []bus.Message {
	var batch []bus.Message
	select {
	case m := <-d.queue:
		batch = append(batch, outgoing(m))
	case <-d.finished:
		return d.rest(nil)
	}
	over := time.NewTimer(d.linger)
	defer over.Stop()
	for len(batch) < dualBatch {
		select {
		case m := <-d.queue:
			batch = append(batch, outgoing(m))
		case <-d.finished:
			return d.rest(batch)
		case <-over.C:
			return batch
		}
	}
	return batch
}

// rest fills a batch with what is in the queue already.
func (d *dualWrite) rest(batch []bus.Message) []bus.Message {
	for len(batch) < dualBatch {
		select {
		case m := <-d.queue:
			batch = append(batch, outgoing(m))
		default:
			return batch
		}
	}
	return batch
}

// deliver tries to publish until the patience is at its end.
func (d *dualWrite) deliver(ctx context.Context, batch []bus.Message) error {
	ctx, cancel := context.WithTimeout(ctx, d.patience)
	defer cancel()
	for {
		err := d.publish(ctx, batch...)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(dualPause):
		}
	}
}

func (d *dualWrite) drop(batch []bus.Message, reason string) {
	d.lost.Add(float64(len(batch)))
	d.log.Error("events lost: there is no outbox", "events", len(batch), "first_order", batch[0].Key, "reason", reason)
}

func outgoing(m store.Message) bus.Message {
	return bus.Message{Topic: m.Topic, Key: m.Key, Value: m.Payload, Headers: bus.Traced(m.Traceparent)}
}

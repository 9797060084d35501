package bus

import (
	"context"
	"maps"
	"time"

	"github.com/segmentio/kafka-go"
	"golang.org/x/sync/errgroup"
)

const (
	// fetchWait is how long a broker holds a fetch that finds nothing new.
	fetchWait = time.Second
	// fetchPace is how long after a fetch that brought something the next one
	// is made, unless told otherwise. After a quiet while the first message
	// comes at once; under load they come many together, where a few at a time
	// would cost a fetch, a call of the handler and a commit of the database
	// for those few.
	fetchPace = 16 * time.Millisecond
)

// Pauses between attempts of a handler that fails.
const (
	handlerPauseMin = 50 * time.Millisecond
	handlerPauseMax = 2 * time.Second
)

// session is the work on one assignment. It ends when over does, or when
// offsets cannot be committed: the partitions may then be another member's.
func (c *consumer) session(ctx, over context.Context, generation *kafka.Generation) {
	var positions []*position
	for topic, partitions := range generation.Assignments {
		for _, p := range partitions {
			positions = append(positions, &position{topic: topic, partition: p.ID, offset: p.Offset})
		}
	}
	c.log.Info("assigned", "partitions", len(positions), "generation", generation.ID)

	// A buffer of a few batches: fetching goes on while the handler works.
	queue := make(chan Message, 4*c.cfg.MaxBatch)
	fetching, stopFetching := context.WithCancel(over)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		c.fill(fetching, queue, positions)
	}()
	looked := make(chan struct{})
	go func() {
		defer close(looked)
		c.haunted(fetching, generation.MemberID)
	}()
	defer func() {
		stopFetching()
		<-stopped
		<-looked // before this member joins again under another id
	}()

	work, cancelWork := context.WithCancel(context.WithoutCancel(ctx))
	defer cancelWork()
	endWork := context.AfterFunc(over, func() {
		if sleep(work, c.cfg.DrainTimeout) {
			cancelWork()
		}
	})
	defer endWork()

	offsets := progress{}
	later := newWaiting()
	defer func() {
		if err := c.commit(offsets, generation); err != nil {
			c.log.Warn("commit before giving up partitions: their last messages will be repeated", "error", err)
		}
	}()

	var side *workers // nil: one batch at a time
	if c.cfg.Concurrency > 1 && !c.waits {
		side = c.employ(work, over)
		defer side.end(offsets)
	}

	due := time.NewTimer(c.cfg.CommitInterval)
	due.Stop()
	defer due.Stop()
	wake := time.NewTimer(0)
	wake.Stop()
	defer wake.Stop()
	finished := func(done func()) {
		if len(offsets) == 0 {
			due.Reset(c.cfg.CommitInterval)
		}
		done()
	}
	for {
		// Checked alone first: select would take a message as well.
		select {
		case <-c.leaving:
			if side != nil {
				side.end(offsets)
			}
			<-over.Done() // or the membership would begin anew
			return
		case <-over.Done():
			return
		default:
		}
		incoming := queue
		var handing chan<- Message
		var done <-chan []Message
		var next Message
		if side != nil {
			handing, next, done = side.to, side.next, side.done
		}
		if later.full() || handing != nil || side != nil && side.full() {
			incoming = nil
		}
		if rest, some := later.next(time.Now()); some {
			wake.Reset(rest)
		}
		select {
		case <-c.leaving:
		case <-over.Done():
		case <-wake.C:
			batch := later.take(time.Now(), c.cfg.MaxBatch)
			if len(batch) > 0 && c.process(work, over, batch) {
				finished(func() { later.open.finish(batch, offsets) })
			}
		case <-due.C:
			if err := c.commit(offsets, generation); err != nil {
				c.log.Warn("commit offsets", "error", err)
				return
			}
		case handing <- next:
			side.to = nil
		case batch := <-done:
			finished(func() { side.finish(batch, offsets) })
		case first := <-incoming:
			if side != nil {
				side.take(first)
				continue
			}
			batch := c.batch(first, queue)
			if c.waits {
				later.add(batch)
				continue
			}
			if c.process(work, over, batch) {
				finished(func() { offsets.add(batch) })
			}
		}
	}
}

// fill fetches what follows positions into queue until ctx ends.
func (c *consumer) fill(ctx context.Context, queue chan<- Message, positions []*position) {
	if len(positions) == 0 {
		return
	}
	put := func(m Message) error {
		select {
		case queue <- m:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	var warned time.Time
	for ctx.Err() == nil {
		err := c.follow(ctx, positions, put)
		if ctx.Err() != nil {
			return
		}
		if time.Since(warned) > sessionTimeout { // not ten times a second
			c.log.Warn("fetch", "error", err)
			warned = time.Now()
		}
		c.cluster.forget()
		sleep(ctx, retryPause)
	}
}

// follow fetches from every leader of positions until one of them fails.
func (c *consumer) follow(ctx context.Context, positions []*position, put func(Message) error) error {
	leaders, err := c.locate(ctx, positions)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	for addr, own := range leaders {
		g.Go(func() error {
			for {
				brought := false
				err := c.cluster.fetch(ctx, addr, own, fetchWait, func(m Message) error {
					brought = true
					return put(m)
				})
				if err != nil {
					return err
				}
				if brought {
					sleep(ctx, c.cfg.Pace)
				}
				// Each is first in turn, so that a partition with much to
				// read does not starve those after it.
				own = append(own[1:], own[0])
			}
		})
	}
	return g.Wait()
}

// locate finds the leaders of positions, and the start of those that have
// none yet.
func (c *consumer) locate(ctx context.Context, positions []*position) (map[string][]*position, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	leaders, err := c.cluster.byLeader(ctx, positions)
	if err != nil {
		return nil, err
	}
	for addr, own := range leaders {
		var fresh []*position
		for _, p := range own {
			if p.offset < 0 {
				fresh = append(fresh, p)
			}
		}
		if len(fresh) == 0 {
			continue
		}
		starts, err := c.cluster.listOffsets(ctx, addr, fresh, kafka.FirstOffset)
		if err != nil {
			return nil, err
		}
		for i, p := range fresh {
			p.offset = starts[i]
		}
	}
	return leaders, nil
}

// batch takes what else is there, without waiting for it.
func (c *consumer) batch(first Message, queue <-chan Message) []Message {
	batch := append(make([]Message, 0, min(1+len(queue), c.cfg.MaxBatch)), first)
	for len(batch) < c.cfg.MaxBatch {
		select {
		case m, open := <-queue:
			if !open {
				return batch
			}
			batch = append(batch, m)
		default:
			return batch
		}
	}
	return batch
}

// process is for who has no workers: a batch that comes when the assignment
// has ended is left for the next.
func (c *consumer) process(work, over context.Context, batch []Message) bool {
	c.busy.RLock()
	defer c.busy.RUnlock()
	return !c.ended(over) && c.work(work, over, batch)
}

// ended says that no batch should be begun any more.
func (c *consumer) ended(over context.Context) bool {
	select {
	case <-c.leaving:
		return true
	case <-over.Done():
		return true
	default:
		return false
	}
}

// work calls the handler until each message is handled or set aside. It gives
// up, and returns false, when it has failed and the assignment ended.
func (c *consumer) work(work, over context.Context, batch []Message) bool {
	t := try{consumer: c, rest: batch}
	var logged time.Time
	for pause := handlerPauseMin; ; pause = min(2*pause, handlerPauseMax) {
		err := t.attempt(work)
		if err == nil {
			return true
		}
		if now := time.Now(); now.Sub(logged) >= handlerPauseMin { // not as often as a hasty one fails
			logged = now
			c.log.Error("handle batch", "messages", len(batch), "topic", batch[0].Topic,
				"partition", batch[0].Partition, "offset", batch[0].Offset, "error", err)
		}
		if !c.cfg.Hasty {
			select {
			case <-c.leaving:
			case <-over.Done():
			case <-time.After(pause):
			}
		}
		if c.ended(over) {
			return false
		}
	}
}

// try is the work on one batch, over as many attempts as it takes.
type try struct {
	*consumer
	rest   []Message // not yet handled
	alone  bool      // they go one by one: one of them is at fault
	failed []failure // to be set aside
}

// attempt handles what is left. Its error is not the fault of a message, or
// there is no place for one that fails.
func (t *try) attempt(ctx context.Context) error {
	if t.alone = t.alone || len(t.rest) == 1; !t.alone {
		err := t.handle(ctx, t.rest)
		if !t.cfg.Aside.own(err) {
			return err
		}
		t.alone = true
	}
	for ; len(t.rest) > 0; t.rest = t.rest[1:] {
		err := t.handle(ctx, t.rest[:1])
		if err == nil {
			continue
		}
		if !t.cfg.Aside.own(err) {
			return err
		}
		m := t.rest[0]
		t.log.Warn("message failed", "topic", m.Topic, "partition", m.Partition, "offset", m.Offset, "key", m.Key, "error", err)
		t.failed = append(t.failed, failure{m, err})
	}
	if len(t.failed) == 0 {
		return nil
	}
	if err := t.cfg.Aside.send(ctx, t.aside, t.failed, t.cfg.Hasty); err != nil {
		return err
	}
	t.failed = nil
	return nil
}

// progress is what was handled and is not committed: by topic and partition
// the offset of the next message.
type progress map[string]map[int]int64

func (p progress) add(batch []Message) {
	for _, m := range batch {
		p.set(m.Topic, m.Partition, m.Offset+1)
	}
}

func (p progress) set(topic string, partition int, next int64) {
	if p[topic] == nil {
		p[topic] = map[int]int64{}
	}
	p[topic][partition] = next
}

// commit tells the group how far p is and starts it over.
func (c *consumer) commit(p progress, generation *kafka.Generation) error {
	if len(p) == 0 {
		return nil
	}
	if err := c.cfg.Points.BeforeOffsetCommit.Hit(context.Background()); err != nil {
		return err
	}
	err := generation.CommitOffsets(maps.Clone(p))
	clear(p)
	if err != nil {
		return err
	}
	return c.cfg.Points.AfterOffsetCommit.Hit(context.Background())
}

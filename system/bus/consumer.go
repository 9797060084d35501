package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/segmentio/kafka-go"
	"golang.org/x/sync/errgroup"
)

// What a member promises its group. The session timeout is the least that
// brokers accept by default; a member that vanishes without leaving holds its
// partitions for that long.
const (
	heartbeatInterval = 200 * time.Millisecond
	sessionTimeout    = 6 * time.Second
	rebalanceTimeout  = 6 * time.Second
	joinBackoff       = 50 * time.Millisecond
	joinEvery         = time.Second            // newcomers to a group at work join at multiples of it
	leaveTimeout      = time.Second            // for a rebalance under way, the last commit and the goodbye
	ghostTimeout      = 300 * time.Millisecond // for the goodbye of a member that could not say it
)

// ConsumerConfig says what Consume reads, and how.
type ConsumerConfig struct {
	Brokers        []string
	Group          string
	Topics         []string      // must exist: see EnsureTopics
	Member         string        // this replica's name, unique in the group; a killed process of that name is replaced at once; "" takes a random one
	MaxBatch       int           // most messages per call of the handler; 0 takes 32
	Concurrency    int           // most calls of the handler at a time; messages of a key are never in two of them; 0 takes 1
	Pace           time.Duration // from a fetch that brought something to the next: latency for larger batches; 0 takes 16 ms
	CommitInterval time.Duration // between commits of offsets; 0 takes 250 ms
	DrainTimeout   time.Duration // how long a batch may go on after the assignment or ctx ended; 0 takes 5 s
	Hasty          bool          // what fails is tried again at once, without a pause
	Aside          *Aside        // where messages go that fail; nil: each holds up its partition until it is handled
	OnReady        func()        // called once, at the first assignment; may be nil
	Points         ConsumerPoints
	Log            *slog.Logger // may be nil
}

// Handler processes one batch: messages of all assigned partitions, those of
// one key in order, which is the order of the partition where Concurrency is 1.
// So many calls are under way at a time, and no key is in two of them. An
// offset is committed only when everything below it was handled: what finished
// early is repeated after a crash, like all that was not committed.
//
// After an error it is called again with the same batch, after a pause, so it
// must be all or nothing, or repeatable. If the error is the fault of a
// message, and there is a place for such, it is called with one message after
// the other, and those that fail are set aside. Its ctx does not end with Consume's:
// a batch that was begun is finished, unless that takes longer than
// DrainTimeout.
type Handler func(ctx context.Context, batch []Message) error

// Consume reads as a member of a group until ctx ends, and starts at the
// earliest message where the group has committed nothing. It survives brokers
// that are away for any time.
//
// When the group rebalances, or ctx ends, the batch under way is finished and
// committed before the partitions are given up, so an orderly change of
// members repeats nothing. A crash, or a broker lost before the commit,
// repeats what was not committed.
//
// The error is nil after ctx ended; others say what is wrong with cfg.
func Consume(ctx context.Context, cfg ConsumerConfig, handle Handler) error {
	if cfg.MaxBatch == 0 {
		cfg.MaxBatch = 32
	}
	if cfg.Concurrency == 0 {
		cfg.Concurrency = 1
	}
	if cfg.Pace == 0 {
		cfg.Pace = fetchPace
	}
	if cfg.CommitInterval == 0 {
		cfg.CommitInterval = 250 * time.Millisecond
	}
	if cfg.DrainTimeout == 0 {
		cfg.DrainTimeout = 5 * time.Second
	}
	if cfg.Member == "" {
		cfg.Member = clientID + "-" + uuid.NewString()
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Aside == nil {
		return newConsumer(cfg, handle).run(ctx)
	}
	cfg.Aside = cfg.Aside.withDefaults()
	if err := cfg.Aside.ensure(ctx, cfg.Brokers); err != nil {
		if ctx.Err() != nil {
			return nil //nolint:nilerr // an end by order is no error
		}
		return err
	}
	// So many calls at a time, whoever makes them.
	places := make(chan struct{}, cfg.Concurrency)
	inTurn := func(ctx context.Context, batch []Message) error {
		places <- struct{}{}
		defer func() { <-places }()
		return handle(ctx, batch)
	}
	again := cfg
	again.Group, again.Topics, again.OnReady = RetryGroup(cfg.Group), []string{cfg.Aside.RetryTopic}, nil
	later := newConsumer(again, inTurn)
	later.waits = true
	later.aside = cfg.Group
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return newConsumer(cfg, inTurn).run(ctx) })
	g.Go(func() error { return later.run(ctx) })
	return g.Wait()
}

func newConsumer(cfg ConsumerConfig, handle Handler) *consumer {
	c := &consumer{
		cfg:     cfg,
		aside:   cfg.Group,
		handle:  handle,
		log:     cfg.Log.With("group", cfg.Group),
		cluster: newCluster(cfg.Brokers),
		leaving: make(chan struct{}),
	}
	c.cluster.log = c.log
	return c
}

// consumer is one member of a group for as long as Consume runs. kafka-go's
// ConsumerGroup keeps the membership; reading is the consumer's own, so that
// no message of an older assignment can linger in a queue.
type consumer struct {
	cfg     ConsumerConfig
	aside   string // the group in whose name messages are set aside
	waits   bool   // messages are handled when they are due
	handle  Handler
	log     *slog.Logger
	cluster *cluster // its dialer opens the membership's connections too
	leaving chan struct{}
	busy    sync.RWMutex // shared while a batch is in the handler
	astray  atomic.Bool  // the membership broke off, and may have left a ghost
}

func (c *consumer) run(ctx context.Context) error {
	defer c.cluster.close()
	settings := kafka.ConsumerGroupConfig{
		ID:                c.cfg.Group,
		Brokers:           []string{anyBroker},
		Topics:            c.cfg.Topics,
		Dialer:            &kafka.Dialer{ClientID: c.cfg.Member, Timeout: sessionTimeout, DialFunc: c.dial},
		HeartbeatInterval: heartbeatInterval,
		SessionTimeout:    sessionTimeout,
		RebalanceTimeout:  rebalanceTimeout,
		JoinGroupBackoff:  joinBackoff,
		StartOffset:       kafka.FirstOffset,
		Timeout:           requestTimeout,
	}
	if len(c.cluster.brokers) == 0 {
		return fmt.Errorf("consume as %s: no broker is configured", c.cfg.Group)
	}
	if err := settings.Validate(); err != nil {
		return fmt.Errorf("consume as %s: %w", c.cfg.Group, err)
	}
	if !c.arrive(ctx) {
		return nil
	}
	group, err := kafka.NewConsumerGroup(settings)
	if err != nil {
		return fmt.Errorf("consume as %s: %w", c.cfg.Group, err)
	}
	ready := sync.OnceFunc(func() {
		if c.cfg.OnReady != nil {
			c.cfg.OnReady()
		}
	})
	for ctx.Err() == nil {
		generation, err := group.Next(ctx)
		switch {
		case ctx.Err() != nil:
		case errors.Is(err, kafka.RebalanceInProgress):
			c.log.Debug("the group rebalances")
		case err != nil:
			c.log.Warn("join the group", "error", err)
			c.astray.Store(true)
		default:
			c.astray.Store(false)
			ready()
			generation.Start(func(over context.Context) { c.session(ctx, over, generation) })
		}
	}
	c.leave(group)
	return nil
}

// arrive makes this member ready to join. A predecessor of its name leaves the
// group: it was killed, or the name would not be free. Newcomers to a group at
// work join it together, at the next of the moments that all agree on: each
// rebalance holds up the whole group. It waits for the broker; false means
// that ctx ended first.
func (c *consumer) arrive(ctx context.Context) bool {
	for {
		found, err := c.cluster.dismiss(ctx, c.cfg.Group, c.cfg.Member, "")
		switch {
		case err != nil:
			c.log.Debug("look for a predecessor", "error", err)
			c.cluster.forget()
			if !sleep(ctx, retryPause) {
				return false
			}
			continue
		case found.atWork():
			return sleep(ctx, untilJoin(time.Now()))
		}
		return true
	}
}

// untilJoin is how long a newcomer waits for the moment to join.
func untilJoin(now time.Time) time.Duration {
	return now.Truncate(joinEvery).Add(joinEvery).Sub(now)
}

// leave ends the membership: the batch under way is finished, its offsets are
// committed and the group is told. A broker that does not answer is not
// waited for.
func (c *consumer) leave(group *kafka.ConsumerGroup) {
	close(c.leaving)
	left := make(chan struct{})
	go func() {
		defer close(left)
		_ = group.Close() // always nil
	}()
	c.settle()
	patience := time.NewTimer(leaveTimeout)
	defer patience.Stop()
	select {
	case <-left:
	case <-patience.C:
		c.cluster.dialer.sever()
		<-left
		own := newCluster(c.cfg.Brokers)
		defer own.close()
		ctx, cancel := context.WithTimeout(context.Background(), ghostTimeout)
		defer cancel()
		if _, err := own.dismiss(ctx, c.cfg.Group, c.cfg.Member, ""); err != nil {
			c.log.Warn("left the group without a goodbye", "error", err)
		}
	}
}

// settle waits for the batches under way. Since leaving is closed, no other
// begins.
func (c *consumer) settle() {
	c.busy.Lock()
	defer c.busy.Unlock()
}

// anyBroker is where kafka-go is told to ask for the coordinator of a group. It
// would ask the first broker of several for as long as a session may last, dead
// or not, each time.
const anyBroker = "any.invalid:9092"

// dial connects for the membership, and waits while the broker is away, for
// as long as a session may last. kafka-go forgets its member id when a dial
// fails; the group would then wait for a ghost.
func (c *consumer) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	addrs := []string{addr}
	if addr == anyBroker {
		addrs = c.cluster.brokers
	}
	for attempt := 0; ; attempt++ {
		conn, err := c.cluster.dialer.dial(ctx, network, addrs[attempt%len(addrs)])
		if err == nil {
			c.mourn(ctx)
			return conn, nil
		}
		if attempt == 0 {
			c.log.Warn("the broker is away", "error", err)
		}
		select {
		case <-c.leaving:
			return nil, err
		case <-ctx.Done():
			return nil, err
		case <-time.After(retryPause):
		}
	}
}

// mourn takes out who this member was, before it joins anew: kafka-go has
// forgotten it, and the group would wait for it to join too. Only here is it
// certain that no join of this member is under way, which would be taken out
// with the rest and never be answered.
func (c *consumer) mourn(ctx context.Context) {
	if !c.astray.Load() {
		return
	}
	if _, err := c.cluster.dismiss(ctx, c.cfg.Group, c.cfg.Member, ""); err != nil {
		c.cluster.forget()
		return
	}
	c.astray.Store(false)
}

// haunted takes out who else is in the group under the name of this member,
// whose id is given, until it has looked once or ctx ends. A request to join
// can arrive long after its sender has given it up, or died. The member that
// it makes is nobody, and gets partitions like all others; on Kafka until its
// session ends, on kfake, which begins no session for a member that it could
// not answer, for ever. It can't come without a rebalance, so whoever looks at
// the beginning of each assignment finds it.
func (c *consumer) haunted(ctx context.Context, id string) {
	for {
		_, err := c.cluster.dismiss(ctx, c.cfg.Group, c.cfg.Member, id)
		if err == nil {
			return
		}
		c.cluster.forget()
		if !sleep(ctx, retryPause) {
			return
		}
	}
}

package bus

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

const (
	relayBatch = 256 // rows per publish
	// relayPace is the least time between rounds that found something: each
	// costs a look, a request and a commit, however few rows it has.
	relayPace = 20 * time.Millisecond
	relayPoll = 10 * time.Millisecond // for rows that other processes added: one look costs some 50 us
	// relayBalance is how often a relay looks who else is there.
	relayBalance = 100 * time.Millisecond
	// relaysPaced is how many relays of an outbox look no more often together
	// than one of them would alone: each takes its time times their number.
	// Else twenty of them keep a server busy that has nothing for them.
	relaysPaced = 10
)

// Outgoing is one row of an outbox.
type Outgoing struct {
	ID                  int64
	EventID, Topic, Key string
	Payload             []byte
	Traceparent         string // the span that wrote the row, "" if none did
}

// Row is any row of an outbox that has the fields of Outgoing, so that the
// store needs to know nothing of the bus.
type Row interface {
	~struct {
		ID                  int64
		EventID, Topic, Key string
		Payload             []byte
		Traceparent         string
	}
}

// Outbox is what a relay needs of a database; *store.DB has it.
type Outbox[R Row] interface {
	// BalanceLanes returns the lanes that the caller alone may publish until
	// it calls again, and how many relays share them. All rows of a key are
	// in one lane.
	BalanceLanes(ctx context.Context) (held []int, relays int, err error)
	// LeaveLanes gives them up.
	LeaveLanes(ctx context.Context) error
	// PendingIn returns unpublished rows of some lanes, oldest first.
	PendingIn(ctx context.Context, lanes []int, limit int) ([]R, error)
	MarkPublished(ctx context.Context, ids []int64) error
	// Wake is signalled after a commit of this process that added rows.
	Wake() <-chan struct{}
}

// RelayConfig says how RunRelay publishes.
type RelayConfig struct {
	Publisher *Publisher
	Points    RelayPoints
	Log       *slog.Logger // may be nil
}

// RunRelay publishes what is in an outbox, oldest first, until ctx ends. All
// processes with the same database share its lanes evenly: two relays in one
// lane would break the order of a key, so who gives one up has nothing of it
// under way. What one held that is gone the others take within relayBalance for
// each of them, a second at most.
//
// A row is marked only after the broker has acknowledged it, so every row is
// published at least once, and again after a crash in between. What fails is
// tried again for ever. The error is nil after ctx ended.
func RunRelay[R Row](ctx context.Context, box Outbox[R], cfg RelayConfig) error {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	defer func() {
		leave, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTimeout)
		defer cancel()
		if err := box.LeaveLanes(leave); err != nil {
			cfg.Log.Warn("leave the outbox", "error", err)
		}
	}()
	r := relayer[R]{box: box, cfg: cfg}
	for ctx.Err() == nil {
		r.round(ctx)
	}
	return nil
}

// relayer is one relay at work.
type relayer[R Row] struct {
	box      Outbox[R]
	cfg      RelayConfig
	lanes    []int
	relays   int
	balanced time.Time
	failing  bool
	lost     bool
}

// turn is how long a relay takes over what takes one that is alone so long.
func (r *relayer[R]) turn(alone time.Duration) time.Duration {
	return alone * time.Duration(min(max(r.relays, 1), relaysPaced))
}

// round publishes one batch, or waits for something to publish.
func (r *relayer[R]) round(ctx context.Context) {
	began := time.Now()
	if began.Sub(r.balanced) >= r.turn(relayBalance) && !r.balance(ctx) {
		return
	}
	n := 0
	if len(r.lanes) > 0 {
		var err error
		if n, err = relay(ctx, r.box, r.lanes, r.cfg); err != nil {
			if ctx.Err() == nil && !r.failing {
				r.cfg.Log.Warn("relay the outbox", "error", err)
			}
			r.failing = true
			sleep(ctx, retryPause)
			return
		}
	}
	switch {
	case r.failing:
		r.cfg.Log.Info("relaying the outbox again")
		r.failing = false
	case n == relayBatch: // there is more
	case n > 0:
		sleep(ctx, r.turn(relayPace)-time.Since(began))
	default:
		r.wait(ctx)
	}
}

// balance takes this relay's share of the lanes, and is false if it has to
// try that again.
func (r *relayer[R]) balance(ctx context.Context) bool {
	lanes, relays, err := r.box.BalanceLanes(ctx)
	r.balanced = time.Now()
	if err != nil {
		if ctx.Err() == nil && !r.lost {
			r.cfg.Log.Warn("the lanes of the outbox are lost", "error", err)
		}
		r.lanes, r.lost, r.balanced = nil, true, time.Time{}
		sleep(ctx, retryPause)
		return false
	}
	if len(lanes) != len(r.lanes) || relays != r.relays {
		r.cfg.Log.Info("relaying the outbox", "lanes", len(lanes), "relays", relays)
	}
	r.lanes, r.relays, r.lost = lanes, relays, false
	return true
}

// wait returns when there may be something to publish, or to balance. Where
// nobody else writes, a signal tells; what others add has to be looked for, and
// what this process adds is mostly for others.
func (r *relayer[R]) wait(ctx context.Context) {
	rest, wake := r.turn(relayBalance)-time.Since(r.balanced), r.box.Wake()
	if r.relays > 1 {
		wake = nil
		if len(r.lanes) > 0 {
			rest = min(rest, r.turn(relayPoll))
		}
	}
	timer := time.NewTimer(max(0, rest))
	defer timer.Stop()
	select {
	case <-wake:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// relay publishes one batch and returns how many rows it had.
func relay[R Row](ctx context.Context, box Outbox[R], lanes []int, cfg RelayConfig) (int, error) {
	rows, err := box.PendingIn(ctx, lanes, relayBatch)
	if err != nil || len(rows) == 0 {
		return 0, err
	}
	msgs := make([]Message, len(rows))
	ids := make([]int64, len(rows))
	for i := range rows {
		row := Outgoing(rows[i])
		msgs[i] = Message{Topic: row.Topic, Key: row.Key, Value: row.Payload, Headers: Traced(row.Traceparent)}
		ids[i] = row.ID
	}
	if err := cfg.Points.BeforePublish.Hit(ctx); err != nil {
		return 0, err
	}
	if err := cfg.Publisher.Publish(ctx, msgs...); err != nil {
		return 0, err
	}
	if err := cfg.Points.AfterPublish.Hit(ctx); err != nil {
		return 0, err
	}
	// What is published is marked even if ctx just ended: left unmarked, it
	// would be published twice.
	mark, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTimeout)
	defer cancel()
	if err := box.MarkPublished(mark, ids); err != nil {
		return 0, fmt.Errorf("mark %d rows as published: %w", len(ids), err)
	}
	return len(rows), cfg.Points.AfterMark.Hit(ctx)
}

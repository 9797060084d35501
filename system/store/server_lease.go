package store

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// serverLeasePoll is how long a lease may lie free before someone who
	// waits for it has it, and how long one may be lost before its holder
	// knows: each look is a question to the server.
	serverLeasePoll  = 200 * time.Millisecond
	serverLeaseLimit = 5 * time.Second // for one answer
)

// serverLeases are advisory locks of one session, which is all that they cost
// the server, however many there are. The server frees them when the session
// ends, so with the session all of them are lost.
type serverLeases struct {
	cfg *pgx.ConnConfig

	mu   sync.Mutex
	conn *pgx.Conn                     // nil while nobody wants anything
	held map[string]context.CancelFunc // leases of conn, by name
	turn map[string]chan struct{}      // the same session would be given a lease twice

	stop    context.CancelFunc
	stopped context.Context
	watch   sync.WaitGroup
}

func newServerLeases(cfg *pgx.ConnConfig) *serverLeases {
	l := &serverLeases{cfg: cfg, held: map[string]context.CancelFunc{}, turn: map[string]chan struct{}{}}
	l.stopped, l.stop = context.WithCancel(context.Background())
	l.watch.Go(l.look)
	return l
}

func (l *serverLeases) lease(ctx context.Context, name string) (context.Context, func(), error) {
	l.mu.Lock()
	turn := l.turn[name]
	if turn == nil {
		turn = make(chan struct{}, 1)
		l.turn[name] = turn
	}
	l.mu.Unlock()
	select {
	case turn <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, context.Cause(ctx)
	}
	tick := time.NewTicker(serverLeasePoll)
	defer tick.Stop()
	for {
		// A server that is away is waited for like another holder.
		if held := l.try(ctx, name); held != nil {
			var once sync.Once
			return held, func() { once.Do(func() { l.release(name); <-turn }) }, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			<-turn
			return nil, nil, context.Cause(ctx)
		case <-l.stopped.Done():
			<-turn
			return nil, nil, ErrClosed
		}
	}
}

// try is nil if the lease is not to be had now.
func (l *serverLeases) try(ctx context.Context, name string) context.Context {
	l.mu.Lock()
	defer l.mu.Unlock()
	var free bool
	if ctx.Err() != nil || !l.ask(&free, `SELECT pg_try_advisory_lock($1)`, advisory("lease "+name)) || !free {
		return nil
	}
	held, cancel := context.WithCancel(ctx)
	l.held[name] = cancel
	return held
}

func (l *serverLeases) release(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	cancel := l.held[name]
	if cancel == nil { // lost, and maybe somebody else's
		return
	}
	cancel()
	delete(l.held, name)
	var done bool
	l.ask(&done, `SELECT pg_advisory_unlock($1)`, advisory("lease "+name))
}

// look finds out when the session is gone.
func (l *serverLeases) look() {
	tick := time.NewTicker(serverLeasePoll)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-l.stopped.Done():
			return
		}
		l.mu.Lock()
		if len(l.held) > 0 {
			var there bool
			l.ask(&there, `SELECT true`)
		}
		l.mu.Unlock()
	}
}

// ask puts one question to the session, and drops it without an answer.
// Called with mu held.
func (l *serverLeases) ask(answer *bool, q string, args ...any) bool {
	ctx, cancel := context.WithTimeout(l.stopped, serverLeaseLimit)
	defer cancel()
	if l.conn == nil {
		conn, err := pgx.ConnectConfig(ctx, l.cfg)
		if err != nil {
			return false
		}
		l.conn = conn
	}
	if err := l.conn.QueryRow(ctx, q, args...).Scan(answer); err != nil {
		l.drop()
		return false
	}
	return true
}

// drop ends the session, and every lease with it. Called with mu held.
func (l *serverLeases) drop() {
	for name, cancel := range l.held {
		cancel()
		delete(l.held, name)
	}
	if l.conn != nil {
		ctx, cancel := context.WithTimeout(context.Background(), serverLeaseLimit)
		defer cancel()
		_ = l.conn.Close(ctx) // the server frees what it held, one way or another
		l.conn = nil
	}
}

func (l *serverLeases) close() error {
	l.stop()
	l.watch.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drop()
	return nil
}

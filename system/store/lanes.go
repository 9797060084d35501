package store

import (
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
)

// Lanes is into how many lanes an outbox is divided. All rows of a key lie in
// one, so a lane may have any publisher as long as it has only one at a time.
const Lanes = 16

// laneOf is the lane of a key.
func laneOf(key string) int {
	h := fnv.New64a()
	_, _ = io.WriteString(h, key) // a hash takes everything
	return int(h.Sum64() % Lanes) // the low bits are the good ones
}

// lanes is what this process holds of them.
type lanes struct {
	mu     sync.Mutex
	locks  laneLocks
	joined bool
	held   []int
}

// laneLocks are locks that die with whoever holds them, and a count of those
// who want some.
type laneLocks interface {
	// join has this process counted until leave, or until it dies.
	join(ctx context.Context) error
	// look counts those who have joined, and tells which lanes are taken as
	// far as it knows: to try the others is enough. An error means that every
	// lock of this process may be lost, and that it is not counted any more.
	look(ctx context.Context) (members int, taken []int, err error)
	try(ctx context.Context, lane int) (bool, error)
	release(ctx context.Context, lane int) error
	leave(ctx context.Context) error
	close() error
}

// BalanceLanes returns the lanes that the caller alone may publish from now
// until it calls again or LeaveLanes, and how many processes publish. Each of
// them takes its share of the lanes, as even as can be: the first call takes
// what is free, later ones give up or take what others came or went for. A lane
// whose publisher died lies idle until another calls. It
// must not be called while something is being published: what it gives up
// another takes at once.
//
// After an error nothing is held. As with Lease, on a server somebody else may
// hold a lane a moment before its holder learns that it is lost.
func (db *DB) BalanceLanes(ctx context.Context) (held []int, publishers int, err error) {
	l := &db.lanes
	l.mu.Lock()
	defer l.mu.Unlock()
	if held, publishers, err = l.balance(ctx); err != nil {
		l.held, l.joined = nil, false
		return nil, 0, fmt.Errorf("lanes of the outbox: %w", err)
	}
	return held, publishers, nil
}

func (l *lanes) balance(ctx context.Context) ([]int, int, error) {
	if !l.joined {
		if err := l.locks.join(ctx); err != nil {
			return nil, 0, err
		}
		l.joined = true
	}
	publishers, taken, err := l.locks.look(ctx)
	if err != nil {
		return nil, 0, err
	}
	publishers = max(1, publishers)
	share := (Lanes + publishers - 1) / publishers
	for len(l.held) > share {
		last := len(l.held) - 1
		if err := l.locks.release(ctx, l.held[last]); err != nil {
			return nil, 0, err
		}
		l.held = l.held[:last]
	}
	// From anywhere on, so that those who take some at the same time do not
	// all try the same ones.
	for i, from := 0, rand.N(Lanes); i < Lanes && len(l.held) < share; i++ { //nolint:gosec // no secret
		lane := (from + i) % Lanes
		if slices.Contains(l.held, lane) || slices.Contains(taken, lane) {
			continue
		}
		mine, err := l.locks.try(ctx, lane)
		if err != nil {
			return nil, 0, err
		}
		if mine {
			l.held = append(l.held, lane)
		}
	}
	return slices.Clone(l.held), publishers, nil
}

// LeaveLanes gives up every lane, for others to take at once.
func (db *DB) LeaveLanes(ctx context.Context) error {
	l := &db.lanes
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.joined {
		return nil
	}
	held := l.held
	l.held, l.joined = nil, false
	for _, lane := range held {
		if err := l.locks.release(ctx, lane); err != nil {
			return fmt.Errorf("lanes of the outbox: %w", err)
		}
	}
	if err := l.locks.leave(ctx); err != nil {
		return fmt.Errorf("lanes of the outbox: %w", err)
	}
	return nil
}

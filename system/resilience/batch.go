package resilience

import (
	"context"
	"errors"
	"time"
)

// batchSize bounds what one call of the script decides about, because a
// script keeps the cache from doing anything else.
const batchSize = 128

// askPace is the least time between two calls of the script. After a quiet
// while a request is asked about at once; under load a few are asked about
// together, where one by one each would cost the cache a script and the
// gateway a round trip.
const askPace = 4 * time.Millisecond

var (
	errScriptAnswer = errors.New("rate limit script: unexpected answer")
	errNotAsked     = errors.New("rate limit: the cache was not asked in time")
)

// batch is the requests that are asked about together. While one batch is at
// the cache, or was just there, the next one gathers, so that a busy cache is
// asked less often and not more, and an idle one at once. The request that opens a batch asks
// for all in it.
type batch struct {
	keys      []string
	decisions []Decision // valid once done is closed, if err is nil
	err       error
	done      chan struct{}
}

// shared decides with the cache; false: it could not.
func (l *Limiter) shared(ctx context.Context, client string) (Decision, bool) {
	b, place := l.join(client)
	patience := time.NewTimer(l.patience)
	defer patience.Stop()
	if place == 0 {
		select {
		case l.turn <- struct{}{}:
			if rest := askPace - time.Since(l.asked); rest > 0 {
				time.Sleep(rest)
			}
			l.asked = time.Now()
			l.ask(ctx, b)
			<-l.turn
		case <-patience.C:
			l.closeBatch(b)
			close(b.done) // b.err says that it was not asked
		}
	} else {
		select {
		case <-b.done:
		case <-patience.C:
			return Decision{}, false
		}
	}
	if b.err != nil {
		return Decision{}, false
	}
	return b.decisions[place], true
}

// join takes a place in the batch that gathers; place 0 must ask for it.
func (l *Limiter) join(client string) (b *batch, place int) {
	l.gathering.Lock()
	defer l.gathering.Unlock()
	if l.batch == nil {
		l.batch = &batch{err: errNotAsked, done: make(chan struct{})}
	}
	b, place = l.batch, len(l.batch.keys)
	b.keys = append(b.keys, keyPrefix+client)
	if len(b.keys) == batchSize {
		l.batch = nil
	}
	return b, place
}

// closeBatch keeps further requests out of b.
func (l *Limiter) closeBatch(b *batch) {
	l.gathering.Lock()
	defer l.gathering.Unlock()
	if l.batch == b {
		l.batch = nil
	}
}

// ask has the cache decide about all that b gathered. The client of the one
// that asks may hang up: that must not touch the others.
func (l *Limiter) ask(ctx context.Context, b *batch) {
	l.closeBatch(b)
	defer close(b.done)
	b.err = l.breaker.Do(context.WithoutCancel(ctx), func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, l.patience)
		defer cancel()
		answers, err := admitScript.Run(ctx, l.client, b.keys, l.gcra.cost, l.gcra.burst).Int64Slice()
		if err != nil {
			return err
		}
		if len(answers) != 2*len(b.keys) {
			return errScriptAnswer
		}
		b.decisions = make([]Decision, len(b.keys))
		for i := range b.decisions {
			b.decisions[i] = l.gcra.decision(answers[2*i] == 1, answers[2*i+1])
		}
		return nil
	})
}

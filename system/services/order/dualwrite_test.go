package order

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ordbench/ordbench/system/bus"
	"github.com/ordbench/ordbench/system/store"
)

// broker is a publish that can be away.
type broker struct {
	away atomic.Bool

	mu      sync.Mutex
	batches []int // how many messages each had
}

func (b *broker) publish(_ context.Context, batch ...bus.Message) error {
	if b.away.Load() {
		return errors.New("connection refused")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.batches = append(b.batches, len(batch))
	return nil
}

func (b *broker) published() []int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.batches)
}

type tally struct{ atomic.Int64 }

func (t *tally) Add(n float64) { t.Int64.Add(int64(n)) }

func dualWriteTo(b *broker) *dualWrite {
	return newDualWrite(b.publish, new(tally), slog.New(slog.DiscardHandler))
}

func lost(d *dualWrite) int { return int(d.lost.(*tally).Load()) }

func TestDualWriteGathersWhatComesWhileItLingers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &broker{}
		d := dualWriteTo(b)
		go d.run(t.Context())
		d.send(store.Message{Key: "1"})
		time.Sleep(d.linger / 2)
		d.send(store.Message{Key: "2"})
		synctest.Wait()
		if len(b.published()) != 0 {
			t.Error("published before the linger was over: a kill now must lose both")
		}
		time.Sleep(d.linger)
		synctest.Wait()
		if got := b.published(); !slices.Equal(got, []int{2}) {
			t.Errorf("published %v, want one batch of two", got)
		}
		d.finish()
	})
}

func TestDualWriteIsPatientAndThenLosesEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &broker{}
		b.away.Store(true)
		d := dualWriteTo(b)
		go d.run(t.Context())
		d.send(store.Message{Key: "1"})
		time.Sleep(d.patience / 2)
		b.away.Store(false)
		time.Sleep(time.Second)
		synctest.Wait()
		if len(b.published()) != 1 || lost(d) != 0 {
			t.Errorf("published %v, lost %d; want a short outage survived", b.published(), lost(d))
		}
		b.away.Store(true)
		d.send(store.Message{Key: "2"})
		time.Sleep(d.patience + time.Second)
		synctest.Wait()
		if len(b.published()) != 1 || lost(d) != 1 {
			t.Errorf("published %v, lost %d; want one lost in a long outage", b.published(), lost(d))
		}
		d.finish()
	})
}

func TestDualWriteEndsWithNothingLeft(t *testing.T) {
	b := &broker{}
	d := dualWriteTo(b)
	for i := range dualQueue + 7 {
		d.send(store.Message{Key: strconv.Itoa(i)})
	}
	d.finish()
	d.run(t.Context())
	sent := 0
	for _, n := range b.published() {
		sent += n
	}
	if sent != dualQueue || lost(d) != 7 {
		t.Errorf("sent %d and lost %d, want %d and the 7 that were too many", sent, lost(d), dualQueue)
	}
}

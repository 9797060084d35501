package order

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ordbench/ordbench/system/bus"
	"github.com/ordbench/ordbench/system/store"
)

// broker is a publish that can be away.
type broker struct {
	away    bool
	batches [][]bus.Message
}

func (b *broker) publish(_ context.Context, batch ...bus.Message) error {
	if b.away {
		return errors.New("connection refused")
	}
	b.batches = append(b.batches, batch)
	return nil
}

type tally int

func (t *tally) Add(n float64) { *t += tally(n) }

func dualWriteTo(b *broker) *dualWrite {
	return newDualWrite(b.publish, new(tally), slog.New(slog.DiscardHandler))
}

func lost(d *dualWrite) int { return int(*d.lost.(*tally)) }

func TestDualWriteGathersWhatComesWhileItLingers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &broker{}
		d := dualWriteTo(b)
		go d.run(t.Context())
		d.send(store.Message{Key: "1"})
		time.Sleep(d.linger / 2)
		d.send(store.Message{Key: "2"})
		synctest.Wait()
		if len(b.batches) != 0 {
			t.Error("published before the linger was over: a kill now must lose both")
		}
		time.Sleep(d.linger)
		synctest.Wait()
		if len(b.batches) != 1 || len(b.batches[0]) != 2 {
			t.Errorf("published %v, want one batch of two", b.batches)
		}
		d.finish()
	})
}

func TestDualWriteIsPatientAndThenLosesEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &broker{away: true}
		d := dualWriteTo(b)
		go d.run(t.Context())
		d.send(store.Message{Key: "1"})
		time.Sleep(d.patience / 2)
		b.away = false
		time.Sleep(time.Second)
		if len(b.batches) != 1 || lost(d) != 0 {
			t.Errorf("published %v, lost %d; want a short outage survived", b.batches, lost(d))
		}
		b.away = true
		d.send(store.Message{Key: "2"})
		time.Sleep(d.patience + time.Second)
		if len(b.batches) != 1 || lost(d) != 1 {
			t.Errorf("published %v, lost %d; want one lost in a long outage", b.batches, lost(d))
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
	for _, batch := range b.batches {
		sent += len(batch)
	}
	if sent != dualQueue || lost(d) != 7 {
		t.Errorf("sent %d and lost %d, want %d and the 7 that were too many", sent, lost(d), dualQueue)
	}
}

package resilience

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// entries has somebody enter p in the background and notes what came of it.
type entries struct {
	p    *Pool
	mu   sync.Mutex
	told []string
	all  sync.WaitGroup
}

func (e *entries) enter(name string, priority Priority) {
	e.all.Go(func() {
		err := e.p.Enter(context.Background(), priority)
		e.mu.Lock()
		defer e.mu.Unlock()
		switch {
		case err == nil:
			e.told = append(e.told, name)
		case errors.Is(err, ErrShed):
			e.told = append(e.told, name+" shed")
		case errors.Is(err, ErrFull):
			e.told = append(e.told, name+" full")
		}
	})
	synctest.Wait()
}

func (e *entries) want(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	if !slices.Equal(e.told, want) {
		t.Errorf("told %q, want %q", e.told, want)
	}
	e.told = nil
}

func TestWithoutSheddingAFullPoolRefusesAtOnce(t *testing.T) {
	p := NewPool(PoolConfig{Places: 2})
	for range 2 {
		if err := p.Enter(t.Context(), Low); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Enter(t.Context(), High); !errors.Is(err, ErrFull) {
		t.Errorf("%v, want %v", err, ErrFull)
	}
	p.Leave()
	if err := p.Enter(t.Context(), Low); err != nil {
		t.Error(err)
	}
}

func TestAPoolWithoutPlacesBoundsNothing(t *testing.T) {
	p := NewPool(PoolConfig{Shed: true})
	for range 1000 {
		if err := p.Enter(t.Context(), Low); err != nil {
			t.Fatal(err)
		}
	}
	p.Leave()
	if p.Busy() != 0 {
		t.Errorf("%d busy", p.Busy())
	}
}

func TestABurstIsServedInOrderAndByPriority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &entries{p: NewPool(PoolConfig{Places: 2, Shed: true})}
		e.enter("a", Low)
		e.enter("b", Low)
		e.want(t, "a", "b")
		e.enter("read 1", Middle)
		e.enter("order 1", High)
		e.enter("read 2", Middle)
		e.enter("order 2", High)
		for range 4 {
			e.p.Leave()
			synctest.Wait()
		}
		e.want(t, "order 1", "order 2", "read 1", "read 2")
	})
}

func TestUnderOverloadTheNewestGoesFirstAndTheStaleGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &entries{p: NewPool(PoolConfig{Places: 4, Shed: true})}
		for i := range 4 {
			e.enter(fmt.Sprint(i), High)
		}
		e.want(t, "0", "1", "2", "3")
		e.enter("first", High)
		for range 9 { // the queue never empties
			time.Sleep(shedTarget / 2)
			e.enter("x", High)
			e.p.Leave()
			synctest.Wait()
		}
		e.want(t, "first", "x", "x", "x", "x", "x", "x", "x", "x")
		time.Sleep(shedTarget / 2)
		e.enter("old", High)
		time.Sleep(shedTarget / 2)
		e.enter("new", High)
		e.p.Leave()
		e.want(t, "new")
		time.Sleep(time.Nanosecond)
		e.enter("newer", High)
		e.want(t, "x shed")
		e.p.Leave()
		e.want(t, "newer")
		time.Sleep(shedTarget)
		e.p.Leave()
		e.want(t, "old shed")
		e.enter("later", High) // the queue was empty: all is well again
		e.want(t, "later")
	})
}

func TestWhoWaitsForTheWholeIntervalIsShed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &entries{p: NewPool(PoolConfig{Places: 1, Shed: true})}
		e.enter("a", High)
		e.enter("b", High)
		time.Sleep(shedInterval - 1)
		e.want(t, "a")
		time.Sleep(time.Nanosecond)
		e.want(t, "b shed")
		if e.p.Waiting() != 0 {
			t.Errorf("%d wait", e.p.Waiting())
		}
	})
}

func TestTheUrgentDisplaceTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &entries{p: NewPool(PoolConfig{Places: 1, Shed: true})}
		e.enter("a", High)
		e.enter("batch", Low)
		e.enter("read", Middle)
		e.enter("order", High)
		e.enter("another read", Middle)
		e.enter("another order", High)
		e.want(t, "a", "batch shed", "another read full", "read shed")
		e.p.Leave()
		e.want(t, "order")
		e.p.Leave()
		e.want(t, "another order")
	})
}

func TestACallerWhoGivesUpFreesItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(PoolConfig{Places: 1, Shed: true})
		if err := p.Enter(t.Context(), High); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := p.Enter(ctx, High); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want the deadline", err)
		}
		p.Leave()
		if p.Busy() != 0 || p.Waiting() != 0 {
			t.Errorf("%d busy, %d wait", p.Busy(), p.Waiting())
		}
	})
}

func TestRefusesIsWhatEnterWouldSay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, row := range []struct {
			name                string
			cfg                 PoolConfig
			busy, middle        int // calls that hold a place, reads that wait
			low, reads, ordered bool
		}{
			{"no bound", PoolConfig{}, 9, 0, false, false, false},
			{"a free place", PoolConfig{Places: 2, Shed: true}, 1, 0, false, false, false},
			{"a place to wait", PoolConfig{Places: 1, Shed: true}, 1, 1, false, false, false},
			{"nobody waits", PoolConfig{Places: 1}, 1, 0, true, true, true},
			{"full of reads, which give way to orders", PoolConfig{Places: 1, Shed: true}, 1, 2, true, true, false},
		} {
			e := entries{p: NewPool(row.cfg)}
			for range row.busy {
				e.enter("inside", High)
			}
			for range row.middle {
				e.enter("read", Middle)
			}
			for priority, want := range []bool{row.low, row.reads, row.ordered} {
				if got := e.p.Refuses(Priority(priority)); got != want {
					t.Errorf("%s: priority %d refused: %t, want %t", row.name, priority, got, want)
				}
			}
			for range row.busy + row.middle {
				e.p.Leave()
				synctest.Wait()
			}
			e.all.Wait()
		}
	})
}

func TestPlacesAreNeverLostNorMade(t *testing.T) {
	p := NewPool(PoolConfig{Places: 3, Shed: true})
	var all sync.WaitGroup
	var mu sync.Mutex
	inside := 0
	for i := range 16 {
		all.Go(func() {
			for n := range 500 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(n%5)*50*time.Microsecond)
				if p.Enter(ctx, Priority((i+n)%int(priorities))) == nil {
					mu.Lock()
					if inside++; inside > 3 {
						t.Errorf("%d inside", inside)
					}
					mu.Unlock()
					mu.Lock()
					inside--
					mu.Unlock()
					p.Leave()
				}
				cancel()
			}
		})
	}
	all.Wait()
	if p.Busy() != 0 || p.Waiting() != 0 {
		t.Errorf("%d busy, %d wait", p.Busy(), p.Waiting())
	}
}

func BenchmarkPool(b *testing.B) {
	p := NewPool(PoolConfig{Places: 8, Shed: true})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if p.Enter(context.Background(), High) == nil {
				p.Leave()
			}
		}
	})
}

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
	p.Leave(High)
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
	p.Leave(High)
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
			e.p.Leave(High)
			synctest.Wait()
		}
		e.want(t, "order 1", "order 2", "read 1", "read 2")
	})
}

func TestUnderOverloadNoMoreWaitThanAreServedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &entries{p: NewPool(PoolConfig{Places: 2, Shed: true})}
		for _, name := range []string{"0", "1", "2", "3"} {
			e.enter(name, High)
		}
		e.want(t, "0", "1")
		for i := range 20 { // two are served in half the target, and the queue never empties
			time.Sleep(shedTarget / 4)
			e.p.Leave(High)
			e.enter(fmt.Sprint(i+4), High)
			e.want(t, fmt.Sprint(i+2))
		}
		e.enter("too many", High)
		e.want(t, "too many shed")
		e.p.Leave(High)
		e.enter("in time", High)
		e.p.Leave(High)
		e.want(t, "22", "23")
		time.Sleep(shedTarget + 1)
		e.enter("after a stall", High)
		e.want(t, "in time shed")
		e.p.Leave(High)
		e.want(t, "after a stall")
		time.Sleep(shedInterval) // nobody was refused: all is well again
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			e.enter(name, High)
		}
		e.want(t, "e full")
		for range 6 {
			e.p.Leave(High)
			synctest.Wait()
		}
		e.want(t, "a", "b", "c", "d")
	})
}

func TestAHangingPoolLetsOneWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &entries{p: NewPool(PoolConfig{Places: 1, Shed: true})}
		e.enter("hangs", High)
		e.enter("a", High)
		time.Sleep(shedInterval / 2)
		e.enter("b", High)
		time.Sleep(shedInterval / 2)
		e.want(t, "hangs", "a shed")
		e.enter("c", High)
		e.enter("d", High)
		e.want(t, "b shed", "d shed")
		e.p.Leave(High)
		e.p.Leave(High)
		e.want(t, "c")
	})
}

// Else nobody could look at an order for as long as there are too many of them.
func TestReadsKeepAShareOfThePlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &entries{p: NewPool(PoolConfig{Places: 2 * placesPerShare, Shed: true})}
		for range 2 * placesPerShare {
			e.enter("order", High)
		}
		e.told = nil
		for i := range 6 {
			e.enter(fmt.Sprint("read ", i), Middle)
			e.enter(fmt.Sprint("order ", i), High)
		}
		for range 4 {
			e.p.Leave(High)
			synctest.Wait()
		}
		e.want(t, "read 0", "read 1", "order 0", "order 1") // the share is taken
		e.p.Leave(Middle)
		e.want(t, "read 2")
		for e.p.Waiting() < queuePerPlace*2*placesPerShare {
			e.enter("order", High)
		}
		e.enter("an order", High) // three reads wait, two of them within their share
		e.want(t, "read 3 shed")
		e.enter("another order", High)
		e.enter("a read", Middle)
		e.want(t, "another order full", "a read full")
		e.p.Leave(High)
		e.want(t, "order 2")
		e.p.Leave(Middle)
		e.want(t, "read 4")
		e.enter("a read", Middle)
		e.want(t)
		for e.p.Busy() > 0 {
			e.p.Leave(High)
			synctest.Wait()
		}
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
		e.p.Leave(High)
		e.want(t, "order")
		e.p.Leave(High)
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
		p.Leave(High)
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
			low, reads, ordered error
		}{
			{"no bound", PoolConfig{}, 9, 0, nil, nil, nil},
			{"a free place", PoolConfig{Places: 2, Shed: true}, 1, 0, nil, nil, nil},
			{"a place to wait", PoolConfig{Places: 1, Shed: true}, 1, 1, nil, nil, nil},
			{"nobody waits", PoolConfig{Places: 1}, 1, 0, ErrFull, ErrFull, ErrFull},
			{"full of reads, which give way to orders", PoolConfig{Places: 1, Shed: true}, 1, 2, ErrFull, ErrFull, nil},
		} {
			e := entries{p: NewPool(row.cfg)}
			for range row.busy {
				e.enter("inside", High)
			}
			for range row.middle {
				e.enter("read", Middle)
			}
			for priority, want := range []error{row.low, row.reads, row.ordered} {
				if got := e.p.Refuses(Priority(priority)); !errors.Is(got, want) {
					t.Errorf("%s: priority %d %v, want %v", row.name, priority, got, want)
				}
			}
			for range row.busy + row.middle {
				e.p.Leave(High)
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
				priority := Priority((i + n) % int(priorities))
				if p.Enter(ctx, priority) == nil {
					mu.Lock()
					if inside++; inside > 3 {
						t.Errorf("%d inside", inside)
					}
					mu.Unlock()
					mu.Lock()
					inside--
					mu.Unlock()
					p.Leave(priority)
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
				p.Leave(High)
			}
		}
	})
}

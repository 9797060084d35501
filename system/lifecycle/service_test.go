package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var (
	errFront = errors.New("the consumer broke")
	errBack  = errors.New("the relay broke")
	errClose = errors.New("the file broke")
)

// diary is what happened, in order.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) note(line string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, line)
}

// service has one task on each side, and notes what ends. Its front takes a
// second to end.
func (d *diary) service() Service {
	return Service{
		Front: []Task{func(ctx context.Context) error {
			<-ctx.Done()
			time.Sleep(time.Second)
			d.note("front")
			return nil
		}},
		Back: []Task{func(ctx context.Context) error {
			<-ctx.Done()
			d.note("back")
			return nil
		}},
		Settle: func(context.Context) { d.note("settle") },
		Close:  func() error { d.note("close"); return nil },
		Ready:  WaitFor(),
		Grace:  time.Minute,
		Log:    slog.New(slog.DiscardHandler),
	}
}

// soon is a task that returns err after a second, whatever its context does.
func soon(err error) Task {
	return func(context.Context) error {
		time.Sleep(time.Second)
		return err
	}
}

// last is a task that returns err after its context ended.
func last(err error) Task {
	return func(ctx context.Context) error {
		<-ctx.Done()
		return err
	}
}

func TestServiceEndsInOrder(t *testing.T) {
	inOrder := []string{"front", "settle", "back", "close"}
	backFirst := []string{"back", "front", "settle", "close"}
	for _, row := range []struct {
		name  string
		front Task // each beside the one of the diary
		back  Task
		close error
		order []string
		at    time.Duration // when the end begins; the context ends after an hour
		errs  []error
	}{
		{"the context ends", nil, nil, nil, inOrder, time.Hour, nil},
		{"a task of the front breaks", soon(errFront), nil, nil, inOrder, time.Second, []error{errFront}},
		{"a task of the back breaks, and the front ends", nil, soon(errBack), nil, backFirst, time.Second, []error{errBack}},
		{"both sides break", soon(errFront), soon(errBack), nil, backFirst, time.Second, []error{errFront, errBack}},
		{"everything breaks at the end", last(errFront), last(errBack), errClose, inOrder, time.Hour, []error{errFront, errBack, errClose}},
		{"a task is done before", soon(nil), soon(nil), nil, inOrder, time.Hour, nil},
		{"to be cancelled is an orderly end", last(fmt.Errorf("fetch: %w", context.Canceled)), last(context.Canceled), nil, inOrder, time.Hour, nil},
		{"to be cancelled before the end is none", nil, soon(context.Canceled), nil, backFirst, time.Second, []error{context.Canceled}},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var d diary
				s := d.service()
				if row.front != nil {
					s.Front = append(s.Front, row.front)
				}
				if row.back != nil {
					s.Back = append(s.Back, row.back)
				}
				s.Close = func() error { d.note("close"); return row.close }
				start := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				err := s.Run(ctx)
				if took := time.Since(start); took != row.at+time.Second {
					t.Errorf("ended after %s, want %s and the second of the front", took, row.at)
				}
				if !slices.Equal(d.lines, row.order) {
					t.Errorf("ended %q, want %q", d.lines, row.order)
				}
				if want := errors.Join(row.errs...); fmt.Sprint(err) != fmt.Sprint(want) {
					t.Errorf("error %v, want %v", err, want)
				}
				for _, want := range row.errs {
					if !errors.Is(err, want) {
						t.Errorf("error %v lacks %v", err, want)
					}
				}
			})
		})
	}
}

func TestServiceIsNotReadyBeforeItsFrontEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(diary).service()
		ctx, cancel := context.WithCancel(t.Context())
		s.Front = append(s.Front, func(ctx context.Context) error {
			if err := s.Ready.Check(ctx); err != nil {
				t.Errorf("while it runs: %v", err)
			}
			cancel()
			<-ctx.Done()
			if s.Ready.Check(ctx) == nil {
				t.Error("still ready when it takes no more work")
			}
			return nil
		})
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
	})
}

func TestSettleHasWhatTheFrontLeftOfTheGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(diary).service() // takes a second of the five
		s.Grace = 5 * time.Second
		settled := false
		s.Settle = func(ctx context.Context) {
			<-ctx.Done()
			settled = errors.Is(ctx.Err(), context.DeadlineExceeded)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		start := time.Now()
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took != s.Grace || !settled {
			t.Errorf("ended after %s, at the end of the grace: %t; want %s, true", took, settled, s.Grace)
		}
	})
}

func TestSettleGivesUpWhenNobodyKeepsThePromise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(diary).service()
		s.Back = append(s.Back, soon(errBack))
		s.Settle = func(ctx context.Context) { <-ctx.Done() }
		start := time.Now()
		err := s.Run(t.Context())
		if took := time.Since(start); took != 2*time.Second || !errors.Is(err, errBack) {
			t.Errorf("ended after %s with %v", took, err)
		}
	})
}

func TestServiceNeedsNeitherSettleNorClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := Service{Front: []Task{last(nil)}, Ready: WaitFor(), Log: slog.New(slog.DiscardHandler)}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
	})
}

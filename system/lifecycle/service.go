// Package lifecycle keeps the order in which a service lives and ends. Make
// its Readiness with WaitFor, for the health endpoint, and call Service.Run,
// which blocks until all of it has ended. Problems is for the Validate of its
// config, before that.
//
// The invariant is that nothing is promised that nobody is left to keep. So,
// whatever brings the end about: first the replica says that it is not ready,
// then what takes work in ends, then the promises are waited for, then what
// keeps them ends, and last what all of them used is closed.
package lifecycle

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// Task is one part of a service. It ends when its context does; an error
// before that, or one that says more than that, is that it broke.
type Task func(context.Context) error

// Service is one replica of a service.
type Service struct {
	Front  []Task                // take work in: end with the context of Run
	Back   []Task                // keep what the front promised: end after it
	Settle func(context.Context) // waits until all promises are kept; nil: there is nothing to wait for
	Close  func() error          // of what front and back use; nil: nothing
	Ready  *Readiness            // stops when the end begins
	Grace  time.Duration         // from there until Settle has to give up
	Log    *slog.Logger
}

// Run runs s until ctx ends or a task breaks, and then ends it in order. The
// front ends when the back breaks, because no one is left to promise for. It
// is for each task of the front to end within the grace. The error is nil
// after an orderly end, else all that broke.
func (s Service) Run(ctx context.Context) error {
	rest := context.WithoutCancel(ctx)
	open, stop := context.WithCancel(ctx)
	defer stop()
	frontCtx, endFront := context.WithCancel(rest)
	defer endFront()
	backCtx, endBack := context.WithCancel(rest)
	defer endBack()

	context.AfterFunc(backCtx, stop)
	waitBack := start(backCtx, s.Back, endBack)
	waitFront := start(frontCtx, s.Front, stop)

	<-open.Done()
	s.Ready.stop()
	s.Log.Info("stopping", "grace", s.Grace.String())
	deadline, cancel := context.WithTimeout(backCtx, s.Grace)
	defer cancel()
	endFront()
	front := waitFront()
	if s.Settle != nil {
		s.Settle(deadline)
	}
	endBack()
	back := waitBack()
	var closed error
	if s.Close != nil {
		closed = s.Close()
	}
	return errors.Join(front, back, closed)
}

// start runs the tasks and calls broken after each that broke. The wait is
// for all of them, and returns all that broke.
func start(ctx context.Context, tasks []Task, broken func()) (wait func() error) {
	var all sync.WaitGroup
	errs := make([]error, len(tasks))
	for i, task := range tasks {
		all.Go(func() {
			if errs[i] = orderly(ctx, task(ctx)); errs[i] != nil {
				broken()
			}
		})
	}
	return func() error {
		all.Wait()
		return errors.Join(errs...)
	}
}

// orderly drops the error that only says that ctx has ended.
func orderly(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

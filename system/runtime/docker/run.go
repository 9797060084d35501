package docker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moby/moby/client"

	"github.com/ordbench/ordbench/system"
)

// run is one run of a container. It satisfies system.Process.
type run struct {
	place *place
	api   client.APIClient
	id    string
	pid   int          // of its first process, as the daemon's machine counts
	tell  func() error // what it is; a service waits for that
	meter *meter
	hand  *handle       // nil: only the daemon can reach it
	said  chan struct{} // closed when all that it wrote is in the log

	frozen  atomic.Bool // paused, by order
	killed  atomic.Bool // by hand: nobody need be asked how it ended
	asked   atomic.Bool // to end, by hand
	ending  sync.Once
	done    chan struct{} // closed when it has ended
	exit    string        // how, once done
	settled chan struct{} // closed when the daemon knows it too, and could start it again

	in     interior
	ration ration // guarded by in.mu
}

// end notes how it ended. The first who knows says it.
func (r *run) end(how string) {
	r.ending.Do(func() {
		r.exit = how
		close(r.done)
	})
}

// watch notes the end of a process that was signalled by hand: at once where
// it was killed, else when the daemon has had the time to say how it ended.
func (r *run) watch() {
	if r.hand.await() != nil {
		return
	}
	switch {
	case r.killed.Load():
		r.end(killed)
	case r.asked.Load():
		select {
		case <-r.settled:
		case <-time.After(settleLimit):
			r.end("ended when it was asked to")
		}
	}
}

// settleLimit is how long a daemon may take to say how a process ended.
const settleLimit = 300 * time.Millisecond

const killed = "signal: killed"

// requestLimit bounds one request to the daemon.
const requestLimit = 20 * time.Second

// await returns how the container ended, when it has.
func (r *run) await(ctx context.Context, wait client.ContainerWaitResult) string {
	var code int64
	select {
	case ended := <-wait.Result:
		code = ended.StatusCode
		if ended.Error != nil {
			return ended.Error.Message
		}
	case err := <-wait.Error:
		// The daemon went away, or the container was removed under us.
		return err.Error()
	}
	switch {
	case code == 128+9 && r.outOfMemory(ctx):
		return killed + outOfMemory
	case code == 128+9:
		return killed
	default:
		return fmt.Sprintf("exit status %d", code)
	}
}

// outOfMemory tells whether the kernel ended it for its memory.
func (r *run) outOfMemory(ctx context.Context) bool {
	found, err := r.api.ContainerInspect(ctx, r.id, client.ContainerInspectOptions{})
	return err == nil && found.Container.State.OOMKilled
}

func (r *run) PID() int              { return r.pid }
func (r *run) Done() <-chan struct{} { return r.done }

// Exit says how the container ended; only after Done.
func (r *run) Exit() string { return r.exit }

// Terminate asks for an orderly end. A paused container can only do so once
// it runs again.
func (r *run) Terminate() error {
	if r.frozen.Load() {
		if err := r.Resume(); err != nil {
			return err
		}
	}
	if r.hand != nil {
		r.asked.Store(true)
		if r.hand.signal(r.place.spec.stop) == nil {
			return nil
		}
		r.asked.Store(false)
	}
	return r.signal(r.place.spec.stop)
}

// Kill ends it at once, paused or not.
func (r *run) Kill() error {
	// What is frozen does not die of a signal: only the daemon can thaw it.
	if r.hand != nil && !r.frozen.Load() {
		r.killed.Store(true)
		if err := r.hand.signal("KILL"); err == nil {
			time.AfterFunc(handLimit, func() {
				_ = r.killByDaemon() // an error means that it has ended
			})
			return nil
		}
		r.killed.Store(false)
	}
	return r.killByDaemon()
}

// handLimit is how long what was killed by hand may live on, frozen by
// somebody else, before the daemon is asked.
const handLimit = 2 * time.Second

func (r *run) killByDaemon() error {
	err := r.signal("KILL")
	if err == nil {
		return nil
	}
	// Some daemons want a paused container to run before it dies.
	if stopped, _, look := r.Stopped(); look == nil && stopped && r.Resume() == nil {
		return r.signal("KILL")
	}
	return err
}

func (r *run) signal(name string) error {
	return r.ask("signal", func(ctx context.Context) error {
		_, err := r.api.ContainerKill(ctx, r.id, client.ContainerKillOptions{Signal: name})
		return err
	})
}

// Pause freezes every process of the container.
func (r *run) Pause() error {
	return r.ask("pause", func(ctx context.Context) error {
		r.frozen.Store(true)
		_, err := r.api.ContainerPause(ctx, r.id, client.ContainerPauseOptions{})
		if err != nil {
			r.frozen.Store(false)
		}
		return err
	})
}

// Resume lets it run; of one that runs already it says nothing.
func (r *run) Resume() error {
	if stopped, _, err := r.Stopped(); err == nil && !stopped {
		return nil
	}
	return r.ask("resume", func(ctx context.Context) error {
		_, err := r.api.ContainerUnpause(ctx, r.id, client.ContainerUnpauseOptions{})
		if err == nil {
			r.frozen.Store(false)
		}
		return err
	})
}

// Stopped asks the daemon whether the container is frozen.
func (r *run) Stopped() (stopped bool, state string, err error) {
	err = r.ask("look at", func(ctx context.Context) error {
		found, err := r.api.ContainerInspect(ctx, r.id, client.ContainerInspectOptions{})
		if err != nil {
			return err
		}
		stopped, state = found.Container.State.Paused, string(found.Container.State.Status)
		return nil
	})
	return stopped, state, err
}

// Usage is that of all processes of the container.
func (r *run) Usage() (system.Usage, error) {
	select {
	case <-r.done:
		return system.Usage{}, r.gone()
	default:
	}
	return r.meter.read()
}

// ask puts one question to the daemon about a container that runs.
func (r *run) ask(what string, question func(context.Context) error) error {
	select {
	case <-r.done:
		return r.gone()
	default:
	}
	ctx, cancel := context.WithTimeout(context.Background(), requestLimit)
	defer cancel()
	if err := question(ctx); err != nil {
		return fmt.Errorf("%s %s: %w", what, r.place.name, err)
	}
	return nil
}

func (r *run) gone() error {
	return fmt.Errorf("pid %d has ended: %s: %w", r.pid, r.exit, os.ErrProcessDone)
}

var errNoUsage = errors.New("the daemon's machine does not show its control groups")

package local

import (
	"os/exec"
	"runtime"
	"sync"
)

// fork starts cmd from a thread that does nothing else, and which may be the
// one that stands further back. The kernel ties a child to the thread that
// forked it, not to the process: that thread must live as long as the process,
// which an ordinary goroutine's need not.
func fork(cmd *exec.Cmd, awaited bool) error {
	answer := make(chan error, 1)
	if awaited {
		forks() <- request{cmd, answer}
	} else {
		lastForks() <- request{cmd, answer}
	}
	return <-answer
}

type request struct {
	cmd    *exec.Cmd
	answer chan<- error
}

var forks, lastForks = forking(niceness), forking(lastNiceness)

// forking starts a forking thread at the first use. It ends with the process.
func forking(niceness int) func() chan<- request {
	return sync.OnceValue(func() chan<- request {
		requests := make(chan request)
		go func() {
			runtime.LockOSThread()
			yield(niceness)
			for r := range requests {
				r.answer <- r.cmd.Start()
			}
		}()
		return requests
	})
}

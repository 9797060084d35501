package local

import (
	"os/exec"
	"runtime"
	"sync"
)

// fork starts cmd from the one thread that forks all children. The kernel
// ties a child to the thread that forked it, not to the process: that thread
// must live as long as the process, which an ordinary goroutine's need not.
func fork(cmd *exec.Cmd) error {
	answer := make(chan error, 1)
	forks() <- request{cmd, answer}
	return <-answer
}

type request struct {
	cmd    *exec.Cmd
	answer chan<- error
}

// forks starts the forking thread at the first use. It ends with the process.
var forks = sync.OnceValue(func() chan<- request {
	requests := make(chan request)
	go func() {
		runtime.LockOSThread()
		yield()
		for r := range requests {
			r.answer <- r.cmd.Start()
		}
	}()
	return requests
})

package lever

import (
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// held is what the memory lever holds. The lever's lock guards it.
var held []byte

// hold takes memory and touches all of it, or gives it back.
func hold(s *Setting) {
	if s == nil {
		held = nil
		debug.FreeOSMemory()
		return
	}
	held = make([]byte, s.Bytes)
	for i := 0; i < len(held); i += 4096 {
		held[i] = 1
	}
	s.Count(max(1, s.Bytes>>20))
}

// burning ends the spinning of the setting before.
var burning atomic.Pointer[Setting]

// burn spins on as many cores as the setting says, a fraction of one for that
// share of each hundredth of a second.
func burn(s *Setting) {
	burning.Store(s)
	if s == nil {
		return
	}
	for left := s.Cores; left > 0; left-- {
		part := min(left, 1)
		go func() {
			runtime.LockOSThread() // it shall take a thread of its own, as other work would
			const turn = 10 * time.Millisecond
			for burning.Load() == s {
				began := time.Now()
				for spun := time.Duration(0); spun < time.Duration(part*float64(turn)); {
					spun = time.Since(began)
				}
				s.Count(int64(part * float64(turn/time.Millisecond)))
				if rest := turn - time.Since(began); rest > 0 {
					time.Sleep(rest)
				}
			}
		}()
	}
}

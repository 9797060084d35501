package vitals

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ordbench/ordbench/loadgen"
)

// The thread of an engine is found by its name, and its work seen.
func TestBusyThreadOfAnEngineIsSeen(t *testing.T) {
	var stop atomic.Bool
	stopped, named := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		runtime.LockOSThread() // and ends with its name
		name := [16]byte{}
		copy(name[:], loadgen.ThreadName)
		_ = unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(&name[0])), 0, 0, 0)
		close(named)
		for !stop.Load() { // it is the busy one
		}
	}()
	<-named
	ts := newThreads()
	ts.read()
	var busy, delay time.Duration
	for busy+delay < 10*time.Millisecond { // it either runs or waits for a processor
		d, b := ts.read()
		busy, delay = busy+b, delay+d
		runtime.Gosched()
	}
	engines := 0
	for _, th := range ts {
		if th.engine {
			engines++
		}
	}
	if engines != 1 {
		t.Errorf("%d threads of an engine, want 1", engines)
	}
	stop.Store(true)
	<-stopped
}

func TestSchedstat(t *testing.T) {
	for _, c := range []struct {
		text      string
		ran, lost time.Duration
		ok        bool
	}{
		{"948239190 50129425 161\n", 948239190, 50129425, true},
		{"0 0 0", 0, 0, true},
		{"1 2", 0, 0, false},
		{"1 x 3", 0, 0, false},
		{"-1 2 3", 0, 0, false},
		{"", 0, 0, false},
	} {
		ran, lost, ok := parseSchedstat([]byte(c.text))
		if ok != c.ok || ok && (ran != c.ran || lost != c.lost) {
			t.Errorf("%q: %v, %v, %v", c.text, ran, lost, ok)
		}
	}
}

func FuzzParseSchedstat(f *testing.F) {
	f.Add([]byte("948239190 50129425 161\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if ran, lost, ok := parseSchedstat(text); ok && (ran < 0 || lost < 0) {
			t.Errorf("%q: %v, %v", text, ran, lost)
		}
	})
}

func BenchmarkRead(b *testing.B) {
	r := newReader()
	for b.Loop() {
		r.read()
	}
}

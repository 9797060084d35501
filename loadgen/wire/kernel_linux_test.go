package wire

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// eachWait runs a test with epoll_pwait2 and with what stands in for it.
func eachWait(t *testing.T, test func(t *testing.T, k kernel)) {
	t.Helper()
	for name, coarse := range map[string]bool{"by the nanosecond": false, "by the millisecond": true} {
		t.Run(name, func(t *testing.T) {
			k, err := openKernel(time.Now())
			if err != nil {
				t.Fatal(err)
			}
			defer k.close()
			k.(*epoll).coarse = coarse
			test(t, k)
		})
	}
}

func TestWaitIsNeverShort(t *testing.T) {
	eachWait(t, func(t *testing.T, k kernel) {
		for _, timeout := range []time.Duration{0, 1, 30 * time.Microsecond, 2100 * time.Microsecond} {
			before := k.now()
			n, err := k.wait(make([]event, 1), timeout)
			// A signal may end a wait early, and the loop waits again.
			for err == nil && n == 0 && k.now()-before < timeout {
				n, err = k.wait(make([]event, 1), timeout-(k.now()-before))
			}
			if n != 0 || err != nil || k.now()-before < timeout {
				t.Errorf("%v: %d events after %v, error %v", timeout, n, k.now()-before, err)
			}
		}
	})
}

func TestWakeEndsAWait(t *testing.T) {
	eachWait(t, func(t *testing.T, k kernel) {
		go k.wake()
		if n, err := k.wait(make([]event, 1), time.Hour); n != 0 || err != nil {
			t.Errorf("%d events, error %v; want none", n, err)
		}
		if n, err := k.wait(make([]event, 1), 0); n != 0 || err != nil {
			t.Errorf("then %d events, error %v; want none", n, err)
		}
	})
}

func TestWaitTellsWhatHappens(t *testing.T) {
	eachWait(t, func(t *testing.T, k kernel) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		fd, err := k.open(netip.MustParseAddrPort(l.Addr().String()), 7)
		if err != nil {
			t.Fatal(err)
		}
		defer k.shut(fd)
		expect := func(what happening) {
			t.Helper()
			var events [2]event
			for {
				n, err := k.wait(events[:], time.Minute)
				if err != nil || n == 1 && (events[0].token != 7 || events[0].what&what != what) || n > 1 {
					t.Fatalf("%d events %+v, error %v; want %b", n, events, err, what)
				}
				if n == 1 {
					return
				}
			}
		}
		expect(writable)
		if err := k.connected(fd); err != nil {
			t.Fatal(err)
		}
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		c.Write([]byte("x"))
		expect(readable)
		p := make([]byte, 2)
		if n, _, err := k.read(fd, p); n != 1 || err != nil {
			t.Errorf("read %d, error %v", n, err)
		}
		if _, _, err := k.read(fd, p); !errors.Is(err, errAgain) {
			t.Errorf("error %v, want %v", err, errAgain)
		}
		for began := k.now(); !k.nap(1); {
			if k.now() > began+10*time.Second {
				t.Skip("this kernel does not say when bytes came in")
			}
			c.Write([]byte("y"))
			expect(readable)
			k.read(fd, p)
		}
		c.Write([]byte("z"))
		expect(readable)
		came := k.now() // or before
		naps := 0
		for left := 10 * time.Millisecond; left > 0; left = came + 10*time.Millisecond - k.now() {
			k.nap(left)
			naps++
		}
		if naps > 10 { // signals ended some
			t.Errorf("%d naps in 10ms", naps)
		}
		if _, at, err := k.read(fd, p); at > came || err != nil {
			t.Errorf("read as of %v, error %v; want the time before %v at which it came", at, err, came)
		}
		c.Close()
		expect(readable | gone)
		if _, _, err := k.read(fd, p); !isEOF(err) {
			t.Errorf("error %v, want the end", err)
		}
	})
}

// A thread that goes first is scheduled in real time, and nothing that comes
// from it is.
func TestAThreadGoesFirst(t *testing.T) {
	GoFirst() // for good: the thread ends with the test
	got, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got.Policy == unix.SCHED_NORMAL {
		t.Skip("SKIPPED: this process may not go before others")
	}
	if got.Policy != unix.SCHED_RR || got.Flags&unix.SCHED_FLAG_RESET_ON_FORK == 0 {
		t.Errorf("policy %d, flags %#x", got.Policy, got.Flags)
	}
}

// All threads go before others while it lasts, behind those that go first, and
// afterwards as before.
func TestAllThreadsGoFirstAndBack(t *testing.T) {
	count := func() (fair, behind, first int) {
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			t.Fatal(err)
		}
		for _, thread := range threads {
			id, err := strconv.Atoi(thread.Name())
			if err != nil {
				t.Fatal(err)
			}
			switch is, err := unix.SchedGetAttr(id, 0); {
			case err != nil: // it has ended
			case is.Policy != unix.SCHED_RR:
				fair++
			case is.Priority == 1:
				behind++
			default:
				first++
			}
		}
		return fair, behind, first
	}
	GoFirst() // for good: the thread ends with the test
	_, _, before := count()
	if before == 0 {
		t.Skip("SKIPPED: this process may not go before others")
	}
	undo := AllGoFirst()
	fair, behind, first := count()
	undo()
	if fair > 0 || behind == 0 || first != before {
		t.Errorf("%d threads go with the others, %d behind the first, %d first; want all but %d behind", fair, behind, first, before)
	}
	if fair, behind, first := count(); fair == 0 || behind > 0 || first != before {
		t.Errorf("afterwards %d threads go with the others, %d behind the first, %d first", fair, behind, first)
	}
}

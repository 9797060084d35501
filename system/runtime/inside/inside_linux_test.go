package inside

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestOrdersSayOneThingAndMeanIt(t *testing.T) {
	peer := []netip.Addr{netip.MustParseAddr("10.0.0.2")}
	for _, row := range []struct {
		name string
		o    Order
		ok   bool
	}{
		{"nothing", Order{}, false},
		{"two things", Order{Count: true, Pass: true}, false},
		{"count", Order{Count: true}, true},
		{"drop", Order{Drop: &Drop{Share: 0.3, Peers: peer, Sent: true}}, true},
		{"drop nothing", Order{Drop: &Drop{Peers: peer, Sent: true}}, false},
		{"drop more than all", Order{Drop: &Drop{Share: 1.1, Peers: peer, Sent: true}}, false},
		{"drop no way", Order{Drop: &Drop{Share: 1, Peers: peer}}, false},
		{"drop nobody's", Order{Drop: &Drop{Share: 1, Sent: true}}, false},
		{"drop of another family", Order{Drop: &Drop{Share: 1, Peers: []netip.Addr{netip.IPv6Loopback()}, Sent: true}}, false},
		{"delay", Order{Delay: &Delay{By: time.Second}}, true},
		{"delay by nothing", Order{Delay: &Delay{}}, false},
		{"delay backwards", Order{Delay: &Delay{By: -1}}, false},
		{"delay for ever", Order{Delay: &Delay{By: time.Hour}}, false},
		{"limit", Order{Limit: &Limit{Name: "files"}}, true},
		{"limit what nobody knows", Order{Limit: &Limit{Name: "luck"}}, false},
		{"limit below what is", Order{Limit: &Limit{Name: "files", Spare: -1}}, false},
		{"unlimit what nobody knows", Order{Unlimit: "luck"}, false},
		{"fill", Order{Fill: &Fill{}}, true},
		{"fill below nothing", Order{Fill: &Fill{Spare: -1}}, false},
		{"fill and clear", Order{Fill: &Fill{}, Clear: true}, false},
		{"clear", Order{Clear: true}, true},
	} {
		if err := row.o.Check(); (err == nil) != row.ok {
			t.Errorf("%s: %v", row.name, err)
		}
	}
}

func TestEachOrderIsAnswered(t *testing.T) {
	var out bytes.Buffer
	if err := Run(strings.NewReader(`{"count":true}{"unlimit":"luck"}{"unlimit":"files"}`), &out); err != nil {
		t.Fatal(err)
	}
	answers := json.NewDecoder(&out)
	for i, failed := range []bool{false, true, false} {
		var a Answer
		if err := answers.Decode(&a); err != nil || (a.Error != "") != failed {
			t.Errorf("answer %d: %+v, %v", i, a, err)
		}
	}
	if err := Run(strings.NewReader(`{"count":true`), &out); err == nil {
		t.Error("half an order was taken")
	}
	if err := Run(strings.NewReader(`{"counts":true}`), &out); err == nil {
		t.Error("an unknown order was taken")
	}
}

// inANetworkOfItsOwn runs do on a thread that has no other network than its
// own, with the loopback interface up.
func inANetworkOfItsOwn(t *testing.T, do func()) {
	t.Helper()
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("needs nft, to list the rules")
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its network
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			done <- err
			return
		}
		do()
		close(done)
	}()
	if err := <-done; errors.Is(err, unix.EPERM) {
		t.Skip("needs root: a network of its own")
	} else if err != nil {
		t.Fatal(err)
	}
}

func TestPacketRulesStandInOneTableAndGoWithIt(t *testing.T) {
	inANetworkOfItsOwn(t, func() {
		h := &hold{limited: map[limited]uint64{}}
		order := Order{Drop: &Drop{Share: 0.5, Peers: []netip.Addr{netip.MustParseAddr("10.0.0.2")}, Sent: true, Received: true}}
		for range 2 { // the second takes the place of the first
			if _, err := h.obey(order); err != nil {
				t.Error(err)
				return
			}
		}
		if rules := rules(t); strings.Count(rules, "table ip ordbench") != 1 || strings.Count(rules, "drop") != 2 {
			t.Errorf("rules:\n%s", rules)
		}
		if _, err := h.obey(Order{Count: true}); err != nil {
			t.Error(err)
		}
		if err := h.undo(); err != nil {
			t.Error(err)
		}
		if rules := rules(t); strings.Contains(rules, "ordbench") {
			t.Errorf("left:\n%s", rules)
		}
	})
}

// rules are those of this thread's network, as nft lists them.
func rules(t *testing.T) string {
	text, err := exec.Command("nft", "list", "ruleset").CombinedOutput()
	if err != nil {
		t.Errorf("%v: %s", err, text)
	}
	return string(text)
}

func TestLimitsAreThoseOfAnotherProcessAndGiveBack(t *testing.T) {
	child := exec.Command("cat")
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = child.Process.Kill(); _ = child.Wait() }()
	// What answers opens no more files: its libraries are loaded.
	if _, err := io.WriteString(in, "\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	pid := child.Process.Pid
	soft := func() uint64 {
		var now unix.Rlimit
		if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &now); err != nil {
			t.Fatal(err)
		}
		return now.Cur
	}
	before := soft()
	h := &hold{limited: map[limited]uint64{}, others: func() ([]int, error) { return []int{pid}, nil }}
	if _, err := h.obey(Order{Limit: &Limit{Name: "files", Spare: 2}}); err != nil {
		t.Fatal(err)
	}
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil || soft() != uint64(len(open))+2 {
		t.Errorf("the limit is %d, %d are open, %v", soft(), len(open), err)
	}
	if err := h.undo(); err != nil || soft() != before {
		t.Errorf("the limit is %d, it was %d: %v", soft(), before, err)
	}
}

// onAVolume runs do on a file system of a size, in a mount namespace of its own.
func onAVolume(t *testing.T, size int, do func(dir string)) {
	t.Helper()
	dir := t.TempDir()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its mounts
		err := unix.Unshare(unix.CLONE_NEWNS)
		if err == nil {
			err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
		}
		if err == nil {
			err = unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size))
		}
		if err == nil {
			do(dir)
		}
		done <- err
	}()
	if err := <-done; errors.Is(err, unix.EPERM) {
		t.Skip("needs root: mounts of its own")
	} else if err != nil {
		t.Fatal(err)
	}
}

func TestVolumesAreFullUntilTheInputEnds(t *testing.T) {
	const size = 4 << 20
	onAVolume(t, size, func(dir string) {
		h := &hold{limited: map[limited]uint64{}, others: others, volume: dir}
		theirs := filepath.Join(dir, "theirs")
		if err := os.WriteFile(theirs, make([]byte, 1<<20), 0o600); err != nil {
			t.Error(err)
		}
		a, err := h.obey(Order{Fill: &Fill{}})
		if err != nil || a.Filled != size-1<<20 || !strings.Contains(a.Detail, "0 of 4194304 bytes were free, and a write was answered: no space left on device") {
			t.Errorf("%+v, %v", a, err)
		}
		if err := os.WriteFile(filepath.Join(dir, "more"), []byte("x"), 0o600); !errors.Is(err, unix.ENOSPC) {
			t.Errorf("a write to a full volume: %v", err)
		}
		// What somebody else lets go of is taken too.
		if err := os.Remove(theirs); err != nil {
			t.Error(err)
		}
		if a, err = h.obey(Order{Fill: &Fill{Spare: 5000}}); err != nil || a.Filled != 1<<20-8192 || !strings.HasSuffix(a.Detail, "; 8192 are left") {
			t.Errorf("%+v, %v", a, err)
		}
		if err := h.undo(); err != nil {
			t.Error(err)
		}
		if free, _, _, err := h.room(); err != nil || free != size {
			t.Errorf("%d of %d bytes are free, %v", free, size, err)
		}
		if a, err = h.obey(Order{Clear: true}); err != nil || !strings.Contains(a.Detail, "4194304 of 4194304") {
			t.Errorf("of nothing: %+v, %v", a, err)
		}
	})
}

func FuzzRun(f *testing.F) {
	f.Add(`{"count":true}`)
	f.Add(`{"drop":{"share":2}}`)
	f.Add(`{"delay":{"by":-1}}{"pass":true}`)
	f.Fuzz(func(t *testing.T, orders string) {
		// Only orders that are refused or do nothing: this is no container.
		var o Order
		dec := json.NewDecoder(strings.NewReader(orders))
		for dec.Decode(&o) == nil {
			if o.Check() == nil && !o.Count {
				return
			}
			o = Order{}
		}
		var out bytes.Buffer
		_ = Run(strings.NewReader(orders), &out)
		for answers := json.NewDecoder(&out); answers.More(); {
			var a Answer
			if err := answers.Decode(&a); err != nil {
				t.Fatal(err)
			}
		}
	})
}

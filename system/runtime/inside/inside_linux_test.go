package inside

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
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
	child := exec.Command("sleep", "60")
	if err := child.Start(); err != nil {
		t.Skip(err)
	}
	defer func() { _ = child.Process.Kill(); _ = child.Wait() }()
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

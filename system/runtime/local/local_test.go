package local

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ordbench/ordbench/system"
	"github.com/ordbench/ordbench/system/runtime/briefing"
)

// This binary is also the children that the tests start: "child MODE
// COMPONENT --config FILE --lease-fd 3".
func TestMain(m *testing.M) {
	if len(os.Args) > 3 && os.Args[1] == "child" {
		os.Exit(beChild(os.Args[2], os.Args[3:]))
	}
	if len(os.Args) > 3 && os.Args[1] == "parent" {
		os.Exit(beParent(os.Args[2], os.Args[3]))
	}
	os.Exit(m.Run())
}

func beChild(mode string, args []string) int {
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	if mode != "deaf" {
		go func() {
			_, _ = io.Copy(io.Discard, os.NewFile(3, "lease"))
			os.Exit(70)
		}()
	}
	fmt.Println("child", mode, strings.Join(args, " "), os.Getpid())
	switch mode {
	case "crash":
		fmt.Fprintln(os.Stderr, "cannot go on")
		return 3
	case "stubborn":
		select {}
	}
	<-term
	return 0
}

// beParent starts three children, pauses one, prints their pids and stays.
func beParent(mode, dir string) int {
	fleet, err := fleetOf(mode, dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for _, replica := range []string{"broker-0", "cache-0", "order-0"} {
		p, err := fleet.Start(context.Background(), replica)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		if replica == "cache-0" {
			if err := p.Pause(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
		}
		fmt.Println(p.PID())
	}
	select {}
}

func fleetOf(mode, dir string) (system.Fleet, error) {
	cfg := system.DefaultConfig()
	cfg.Gateway.Replicas = 2
	cfg.Dir, cfg.LogDir = dir, dir
	return Runtime{Command: []string{os.Args[0], "child", mode}}.Boot(context.Background(), cfg)
}

func newFleet(t *testing.T, mode string) system.Fleet {
	t.Helper()
	fleet, err := fleetOf(mode, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := fleet.Close(); err != nil {
			t.Error(err)
		}
	})
	return fleet
}

func start(t *testing.T, fleet system.Fleet, replica string) system.Process {
	t.Helper()
	p, err := fleet.Start(t.Context(), replica)
	if err != nil {
		t.Fatal(err)
	}
	await(t, replica+" to say hello", func() bool {
		return strings.Contains(fleet.Tail(replica, 10), strconv.Itoa(p.PID())) || isDone(p)
	})
	return p
}

func isDone(p system.Process) bool {
	select {
	case <-p.Done():
		return true
	default:
		return false
	}
}

// await polls, for what has no channel to wait on.
func await(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func TestChildIsToldWhatItIs(t *testing.T) {
	fleet := newFleet(t, "idle")
	start(t, fleet, "inventory-7")
	want := "child idle inventory --config "
	if tail := fleet.Tail("inventory-7", 1); !strings.HasPrefix(tail, want) || !strings.Contains(tail, "/inventory-7.json --lease-fd 3 ") {
		t.Errorf("it was started as %q", tail)
	}
}

func TestTerminateEndsInOrder(t *testing.T) {
	p := start(t, newFleet(t, "idle"), "order-0")
	if err := p.Terminate(); err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	if p.Exit() != "exit status 0" {
		t.Errorf("it ended with %s", p.Exit())
	}
	if err := p.Kill(); err == nil {
		t.Error("a dead process was killed without an error")
	}
	if _, err := p.Usage(); err == nil {
		t.Error("a dead process has a usage")
	}
}

func TestTerminateEndsAPausedChildToo(t *testing.T) {
	p := start(t, newFleet(t, "idle"), "order-0")
	if err := p.Pause(); err != nil {
		t.Fatal(err)
	}
	if err := p.Terminate(); err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	if p.Exit() != "exit status 0" {
		t.Errorf("it ended with %s", p.Exit())
	}
}

func TestKillEndsWhatIgnoresTerminate(t *testing.T) {
	p := start(t, newFleet(t, "stubborn"), "order-0")
	if err := p.Terminate(); err != nil {
		t.Fatal(err)
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	if p.Exit() != "signal: killed" {
		t.Errorf("it ended with %s", p.Exit())
	}
}

func TestPauseStandsInTheProcessTable(t *testing.T) {
	p := start(t, newFleet(t, "idle"), "cache-0")
	standsStill := func() bool {
		stopped, _, err := p.Stopped()
		if err != nil {
			t.Fatal(err)
		}
		return stopped
	}
	if standsStill() {
		t.Fatal("it stands still before the pause")
	}
	if err := p.Pause(); err != nil {
		t.Fatal(err)
	}
	await(t, "the pause", standsStill)
	if err := p.Resume(); err != nil {
		t.Fatal(err)
	}
	await(t, "the end of the pause", func() bool { return !standsStill() })
}

func TestUsageIsThatOfTheProcess(t *testing.T) {
	p := start(t, newFleet(t, "idle"), "cache-0")
	used, err := p.Usage()
	if err != nil {
		t.Fatal(err)
	}
	if used.RSSBytes <= 0 || used.CPU < 0 {
		t.Errorf("it uses %+v", used)
	}
}

func TestWhoIsNotWaitedForStandsBack(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("niceness belongs to a thread on Linux only")
	}
	fleet := newFleet(t, "good")
	for replica, want := range map[string]int{
		"gateway-0": niceness, "order-0": niceness, "cache-0": niceness,
		"broker-0": lastNiceness, "inventory-0": lastNiceness, "payment-0": lastNiceness, "notification-0": lastNiceness,
	} {
		p := start(t, fleet, replica)
		tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", p.PID()))
		if err != nil || len(tasks) == 0 {
			t.Fatalf("%d threads, error %v", len(tasks), err)
		}
		for _, task := range tasks {
			id, _ := strconv.Atoi(task.Name())
			raw, err := syscall.Getpriority(syscall.PRIO_PROCESS, id)
			if got := 20 - raw; err != nil || got != want {
				t.Errorf("%s, thread %d: niceness %d, want %d, error %v", replica, id, got, want, err)
			}
		}
	}
}

func TestMonitorOfAComponentDoesNotSleep(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("there is no /proc")
	}
	p := start(t, newFleet(t, "good"), "order-0")
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p.PID()))
	if want := "\x00GODEBUG=" + briefing.Debug(os.Getenv("GODEBUG")) + "\x00"; err != nil || !strings.Contains(string(environ), want) {
		t.Errorf("%q, error %v; want %q in it", environ, err, want)
	}
}

func TestLogIsKeptAndTailIsOfTheLatestProcess(t *testing.T) {
	fleet := newFleet(t, "crash")
	first := start(t, fleet, "order-0")
	<-first.Done()
	second := start(t, fleet, "order-0")
	<-second.Done()
	if second.Exit() != "exit status 3" {
		t.Errorf("it ended with %s", second.Exit())
	}
	tail := fleet.Tail("order-0", 10)
	if strings.Contains(tail, strconv.Itoa(first.PID())) || !strings.HasSuffix(tail, "\ncannot go on") {
		t.Errorf("the tail is %q", tail)
	}
	if tail := fleet.Tail("order-0", 1); tail != "cannot go on" {
		t.Errorf("the last line is %q", tail)
	}
	if tail := fleet.Tail("gateway-0", 10); tail != "" {
		t.Errorf("the tail of what never ran is %q", tail)
	}
}

func TestReplicaRunsOnce(t *testing.T) {
	fleet := newFleet(t, "idle")
	start(t, fleet, "order-0")
	if _, err := fleet.Start(t.Context(), "order-0"); err == nil {
		t.Fatal("a second process was started in one place")
	}
}

func TestCloseEndsEveryChild(t *testing.T) {
	fleet, err := fleetOf("stubborn", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	a, b := start(t, fleet, "order-0"), start(t, fleet, "broker-0")
	if err := b.Pause(); err != nil {
		t.Fatal(err)
	}
	if err := fleet.Close(); err != nil {
		t.Fatal(err)
	}
	if !isDone(a) || !isDone(b) {
		t.Error("a child is left")
	}
}

func TestPlaces(t *testing.T) {
	fleet := newFleet(t, "idle")
	addrs := map[string]int{}
	count := map[system.Component]int{}
	for _, r := range fleet.Replicas() {
		count[r.Component]++
		addrs[r.Addr]++
		addrs[r.Admin]++
	}
	if count[system.Inventory] != 20 || count[system.Gateway] != 2 || count[system.Broker] != 1 {
		t.Errorf("places: %v", count)
	}
	for _, r := range fleet.Replicas() {
		shared := 1
		if r.Component == system.Gateway {
			shared = 2
		}
		if addrs[r.Addr] != shared || addrs[r.Admin] != 1 {
			t.Errorf("%s at %s, %s: shared with others", r.Name, r.Addr, r.Admin)
		}
	}
}

func TestPortThatIsTaken(t *testing.T) {
	first := newFleet(t, "idle")
	cfg := system.DefaultConfig()
	cfg.Dir, cfg.LogDir = t.TempDir(), t.TempDir()
	cfg.Gateway.Addr = first.Replicas()[len(first.Replicas())-1].Addr
	_, err := Runtime{}.Boot(t.Context(), cfg)
	if want := "gateway: reserve " + cfg.Gateway.Addr + ": address already in use"; err == nil || err.Error() != want {
		t.Fatalf("error %v, want %s", err, want)
	}
	// What the attempt took is free again: the directory too.
	cfg.Gateway.Addr = ""
	again, err := Runtime{}.Boot(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestPortWithoutAHostIsOnTheLoopbackInterface(t *testing.T) {
	cfg := system.DefaultConfig()
	cfg.Dir, cfg.LogDir = t.TempDir(), t.TempDir()
	cfg.Gateway.Addr = ":0"
	fleet, err := Runtime{}.Boot(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer fleet.Close()
	all := fleet.Replicas()
	if addr := all[len(all)-1].Addr; !strings.HasPrefix(addr, "127.0.0.1:") {
		t.Errorf("the gateway is at %s", addr)
	}
}

func TestDirectoryIsOneStacks(t *testing.T) {
	dir := t.TempDir()
	first, err := fleetOf("idle", dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fleetOf("idle", dir); err == nil || !strings.Contains(err.Error(), "in use by another stack") {
		t.Fatalf("a second stack in one directory: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second, err := fleetOf("idle", dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestMissingProgram(t *testing.T) {
	cfg := system.DefaultConfig()
	cfg.Dir, cfg.LogDir = t.TempDir(), t.TempDir()
	fleet, err := Runtime{Command: []string{filepath.Join(cfg.Dir, "none"), "serve"}}.Boot(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer fleet.Close()
	if _, err := fleet.Start(t.Context(), "order-0"); err == nil || !strings.Contains(err.Error(), "start order-0: ") {
		t.Errorf("error %v", err)
	}
}

func TestNoChildOutlivesItsParent(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux ends a paused child with its parent")
	}
	for name, mode := range map[string]string{
		"children that hold the lease":          "idle",
		"children that don't look at the lease": "deaf",
		"children that ignore SIGTERM":          "stubborn",
	} {
		t.Run(name, func(t *testing.T) {
			parent := exec.Command(os.Args[0], "parent", mode, t.TempDir())
			parent.Stderr = os.Stderr
			out, err := parent.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := parent.Start(); err != nil {
				t.Fatal(err)
			}
			var pids []int
			lines := bufio.NewScanner(out)
			for len(pids) < 3 && lines.Scan() {
				pid, err := strconv.Atoi(lines.Text())
				if err != nil {
					t.Fatal(err)
				}
				pids = append(pids, pid)
			}
			if err := parent.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = parent.Wait() // "signal: killed"
			if len(pids) != 3 {
				t.Fatalf("the parent started %v", pids)
			}
			for _, pid := range pids {
				await(t, fmt.Sprintf("the end of pid %d", pid), func() bool { return !alive(pid) })
			}
		})
	}
}

// alive tells whether a process is in the process table, and not only as one
// that its new parent has yet to bury.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return !os.IsNotExist(err)
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(state, "Z")
}

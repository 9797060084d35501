package bus

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/ordbench/ordbench/system/endpoint"
)

// brokerEnv makes this test binary a broker: "address,directory". A broker
// that is to be killed must be a process of its own.
const brokerEnv = "ORDBENCH_TEST_BROKER"

// Serve makes this process a broker if it was started as one, and says so.
func Serve() (was bool) {
	spec := os.Getenv(brokerEnv)
	if spec == "" {
		return false
	}
	if err := serveBroker(spec); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return true
}

// MemoryBroker is memoryBroker for tests outside of the package.
func MemoryBroker(t testing.TB) []string { return memoryBroker(t, 1) }

// serveBroker runs until standard input ends, so it cannot outlive the test.
func serveBroker(spec string) error {
	addr, dir, _ := strings.Cut(spec, ",")
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.DataDir(dir), listenOn(addr))
	if err != nil {
		return err
	}
	fmt.Println("up")
	os.Stdin.Read(make([]byte, 1))
	c.Close()
	return nil
}

func listenOn(addr string) kfake.Opt {
	return kfake.ListenFn(func(string, string) (net.Listener, error) {
		return endpoint.Listen(context.Background(), addr)
	})
}

// memoryBroker is a broker inside the test.
func memoryBroker(t testing.TB, partitions int, topics ...string) []string {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(int32(partitions), topics...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c.ListenAddrs()
}

// brokerProcess is a broker that can be killed and started again with its
// data, at the same address.
type brokerProcess struct {
	t    testing.TB
	addr string
	dir  string
	cmd  *exec.Cmd
	in   *os.File
}

func newBrokerProcess(t testing.TB) *brokerProcess {
	t.Helper()
	r, err := endpoint.Reserve("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &brokerProcess{t: t, addr: r.Addr(), dir: t.TempDir()}
	t.Cleanup(func() {
		b.kill()
		r.Release()
	})
	return b
}

func (b *brokerProcess) start() {
	b.t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		b.t.Fatal(err)
	}
	b.in = w
	b.cmd = exec.Command(os.Args[0])
	b.cmd.Env = append(os.Environ(), brokerEnv+"="+b.addr+","+b.dir)
	b.cmd.Stdin = r
	b.cmd.Stderr = os.Stderr
	out, err := b.cmd.StdoutPipe()
	if err != nil {
		b.t.Fatal(err)
	}
	if err := b.cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	r.Close()
	if _, err := out.Read(make([]byte, 3)); err != nil {
		b.t.Fatalf("broker: %v", err)
	}
}

func (b *brokerProcess) kill() {
	if b.cmd == nil {
		return
	}
	b.cmd.Process.Kill()
	b.cmd.Wait()
	b.in.Close()
	b.cmd = nil
}

// stop ends the broker orderly: it keeps the members of its groups.
func (b *brokerProcess) stop() {
	b.in.Close()
	b.cmd.Wait()
	b.cmd = nil
}

// deadline is a context for one test.
func deadline(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// book counts what handlers were given.
type book struct {
	mu      sync.Mutex
	seen    map[string]int
	last    map[string]Message // by key: to check the order
	changed chan struct{}
}

func newBook() *book {
	return &book{seen: map[string]int{}, last: map[string]Message{}, changed: make(chan struct{})}
}

func (b *book) handle(_ context.Context, batch []Message) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range batch {
		b.seen[string(m.Value)]++
	}
	close(b.changed)
	b.changed = make(chan struct{})
	return nil
}

// await returns when n different messages were handled.
func (b *book) await(ctx context.Context, t testing.TB, n int) {
	t.Helper()
	for {
		b.mu.Lock()
		have, changed := len(b.seen), b.changed
		b.mu.Unlock()
		if have >= n {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("%d of %d messages were handled", have, n)
		}
	}
}

// repeated counts messages that were handled more than once.
func (b *book) repeated() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, times := range b.seen {
		if times > 1 {
			n++
		}
	}
	return n
}

// member is one Consume of the group "group" over topic "orders".
type member struct {
	stop  context.CancelFunc
	ended chan error
}

func join(ctx context.Context, t testing.TB, brokers []string, handle Handler) *member {
	t.Helper()
	ctx, stop := context.WithCancel(ctx)
	m := &member{stop: stop, ended: make(chan error, 1)}
	ready := make(chan struct{})
	go func() {
		m.ended <- Consume(ctx, ConsumerConfig{
			Brokers: brokers,
			Group:   "group",
			Topics:  []string{"orders"},
			OnReady: func() { close(ready) },
		}, handle)
	}()
	select {
	case <-ready:
	case err := <-m.ended:
		t.Errorf("consume ended before it was ready: %v", err)
	}
	t.Cleanup(stop)
	return m
}

func (m *member) leave(t testing.TB) {
	t.Helper()
	m.stop()
	if err := <-m.ended; err != nil {
		t.Error(err)
	}
}

// numbered makes messages n..m-1, each its own key.
func numbered(from, to int) []Message {
	var msgs []Message
	for i := from; i < to; i++ {
		v := fmt.Sprintf("%06d", i)
		msgs = append(msgs, Message{Topic: "orders", Key: v, Value: []byte(v)})
	}
	return msgs
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

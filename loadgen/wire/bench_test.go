package wire

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ordbench/ordbench/loadgen"
)

// serverEnv makes the test binary the server of the benchmarks, so that its
// CPU time is not the generator's.
const serverEnv = "ORDBENCH_WIRE_TEST_SERVER"

func TestMain(m *testing.M) {
	log.SetOutput(io.Discard) // net/http complains of answers that nobody asked for
	if seed := os.Getenv(unrulyEnv); seed != "" {
		serveUnruly(seed)
		return
	}
	if os.Getenv(serverEnv) == "" {
		os.Exit(m.Run())
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(l.Addr())
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if r.Method == http.MethodGet {
			w.Write([]byte(`{"order_id":"o-1","status":"CONFIRMED"}`))
			return
		}
		accept(w)
	}))
	io.Copy(io.Discard, os.Stdin) // until the benchmark ends
}

// otherProcess is the URL of a plain net/http server in a process of its own.
func otherProcess(b *testing.B) string {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serverEnv+"=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return "http://" + strings.TrimSpace(addr)
}

// cpuSeconds is the CPU time of this process.
func cpuSeconds(b *testing.B) float64 {
	b.Helper()
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		b.Fatal(err)
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano()).Seconds()
}

// eachEngineOf runs a benchmark with all engines of this system.
func eachEngineOf(b *testing.B, bench func(b *testing.B, open engine)) {
	b.Run("net", func(b *testing.B) {
		bench(b, func(cfg Config) loadgen.Engine { return NewNetHTTP(cfg) })
	})
	if runtime.GOOS == "linux" {
		b.Run("loop", func(b *testing.B) {
			bench(b, func(cfg Config) loadgen.Engine { return newEventLoop(cfg) })
		})
	}
}

// load plays b.N orders at a rate, and measures what it costs.
func load(b *testing.B, open engine, url string, law loadgen.Law, length time.Duration, conns int) *loadgen.OpReport {
	b.Helper()
	before, start := cpuSeconds(b), time.Now()
	report, err := loadgen.New(loadgen.Config{
		Plan: one(law, length), Workload: orders(b), Ledger: loadgen.NewLedgerWriter(io.Discard),
		Engine: open(Config{BaseURL: url, Connections: conns, Timeout: time.Hour}),
	}).Run(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	cpu, took := cpuSeconds(b)-before, time.Since(start)
	o := report.Phases[0].Ops["place_order"]
	if o.Counts.OK != o.Counts.Scheduled {
		b.Fatalf("%+v %v", o.Counts, o.Examples)
	}
	b.ReportMetric(float64(o.Counts.OK)/cpu, "req/cpu-s")
	b.ReportMetric(cpu/took.Seconds(), "cores")
	b.ReportMetric(float64(o.Counts.OK)/took.Seconds(), "req/s")
	return o
}

// BenchmarkCost is the generator's CPU time per request, unpaced: everything
// is due at once, over 50 connections. The bare one has a workload, a verdict
// and a ledger that cost nothing, so what is left is the engine.
func BenchmarkCost(b *testing.B) {
	eachEngineOf(b, func(b *testing.B, open engine) {
		b.Run("orders", func(b *testing.B) {
			load(b, open, otherProcess(b), loadgen.Constant{PerSecond: 1e9}, time.Duration(b.N), 50)
		})
		b.Run("bare", func(b *testing.B) {
			s := &repeat{left: b.N}
			url, before := otherProcess(b), cpuSeconds(b)
			b.ResetTimer()
			err := open(Config{BaseURL: url, Connections: 50, Timeout: time.Hour}).Run(b.Context(), loadgen.Job{Start: time.Now(), Calls: s, Replies: s})
			if err != nil || s.ok.Load() != int64(b.N) {
				b.Fatalf("%d of %d answered, error %v", s.ok.Load(), b.N, err)
			}
			b.ReportMetric(float64(b.N)/(cpuSeconds(b)-before), "req/cpu-s")
		})
	})
}

// repeat is a Source of one call again and again, and a Sink that counts.
type repeat struct {
	mu   sync.Mutex
	left int
	ok   atomic.Int64
}

func (s *repeat) Next(c *loadgen.Call) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left == 0 {
		return false
	}
	s.left--
	c.Reset()
	c.Method = "POST"
	c.Path = append(c.Path, "/orders"...)
	f := c.AddHeader("Idempotency-Key")
	f.Value = append(f.Value, "019a1234-5678-7abc-8def-0123456789ab"...)
	c.Body = append(c.Body, `{"user_id":"user-000001","total":12.34,"items":[{"sku":"sku-0001","quantity":1}]}`...)
	return true
}

func (s *repeat) Done(_ *loadgen.Call, r *loadgen.Reply) {
	if r.Failure == loadgen.None && r.Status == 202 {
		s.ok.Add(1)
	}
}

// BenchmarkSlip is how punctual sends are, from due to the first byte.
func BenchmarkSlip(b *testing.B) {
	for _, rate := range []float64{100, 1000, 5000} {
		for name, law := range map[string]loadgen.Law{
			"constant": loadgen.Constant{PerSecond: rate},
			"poisson":  loadgen.Poisson{Mean: loadgen.Constant{PerSecond: rate}},
		} {
			b.Run(fmt.Sprint(name, " ", rate), func(b *testing.B) {
				eachEngineOf(b, func(b *testing.B, open engine) {
					calls := max(float64(b.N), 100)
					o := load(b, open, otherProcess(b), law, time.Duration(calls/rate*1e9), 64)
					for _, q := range []float64{50, 99, 99.9} {
						b.ReportMetric(float64(o.Slip.ValueAtQuantile(q)), fmt.Sprintf("slip-p%g-us", q))
					}
					b.ReportMetric(float64(o.Response.ValueAtQuantile(50)), "response-p50-us")
					b.ReportMetric(float64(o.Response.ValueAtQuantile(99)), "response-p99-us")
				})
			})
		}
	}
}

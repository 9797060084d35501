package gateway

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/ordbench/ordbench/system/pki"
	"github.com/ordbench/ordbench/system/resilience"
)

// childConfig names the variables that make the test binary a gateway.
const (
	childOrder  = "GATEWAY_BENCH_ORDER"
	childListen = "GATEWAY_BENCH_LISTEN"
	childAdmin  = "GATEWAY_BENCH_ADMIN"
	childCache  = "GATEWAY_BENCH_CACHE"
	childKeys   = "GATEWAY_BENCH_KEYS"
)

func TestMain(m *testing.M) {
	if os.Getenv(childListen) != "" {
		os.Exit(child())
	}
	os.Exit(m.Run())
}

// child runs a gateway until its standard input ends.
func child() int {
	cfg := Config{
		Replica: "gateway-0", Listen: os.Getenv(childListen), Admin: os.Getenv(childAdmin),
		Orders: []string{os.Getenv(childOrder)}, Inventories: []string{os.Getenv(childOrder)},
		Timeout: 2 * time.Second, Grace: time.Second,
	}
	cfg.Breaker.Enabled = true
	if keys := os.Getenv(childKeys); keys != "" {
		cfg.Bearer = pki.BearerConfig{Keys: keys, Issuer: pki.TokenIssuer, Audience: pki.TokenAudience}
		cfg.Pool = resilience.PoolConfig{Places: 128, Shed: true}
		cfg.Retry = resilience.RetryConfig{Tries: 3, Backoff: true, Budget: true}
	}
	if cfg.Cache = os.Getenv(childCache); cfg.Cache != "" {
		cfg.RateLimit = RateLimit{Requests: 1e6, Per: 10 * time.Second}
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	if err := Run(ctx, cfg, slog.New(slog.NewTextHandler(os.Stderr, nil))); err != nil {
		return 1
	}
	return 0
}

// BenchmarkGateway proxies orders through a gateway in a process of its own
// with one thread for Go code, and reports what it cost that process:
// cpu-µs/op, and req/cpu-s, the requests that one core could carry.
func BenchmarkGateway(b *testing.B) {
	b.Run("order", func(b *testing.B) { benchmark(b, "", "", "") })
	b.Run("order with rate limit", func(b *testing.B) { benchmark(b, miniredis.RunT(b).Addr(), "", "") })
	b.Run("order with token, places and retries", func(b *testing.B) {
		issuer, err := pki.NewIssuer()
		if err != nil {
			b.Fatal(err)
		}
		keys, err := issuer.KeySet()
		if err != nil {
			b.Fatal(err)
		}
		path := filepath.Join(b.TempDir(), "jwks.json")
		if err := pki.WriteFile(path, keys, 0o600); err != nil {
			b.Fatal(err)
		}
		token, err := issuer.Issue(pki.Grant{Subject: "u1", For: time.Hour}, time.Now())
		if err != nil {
			b.Fatal(err)
		}
		benchmark(b, "", path, "Authorization: Bearer "+token+"\r\n")
	})
}

func benchmark(b *testing.B, cache, keys, fields string) {
	upstream := service(b, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		accept(w, r)
	})
	listen, admin := hold(b), hold(b)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", childOrder+"="+upstream, childListen+"="+listen, childAdmin+"="+admin, childCache+"="+cache, childKeys+"="+keys)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	await(b, listen)
	request := fmt.Sprintf("POST /orders HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\n"+
		"Idempotency-Key: 0192f0c1-aaaa-7bbb-8ccc-dddddddddddd\r\nX-Forwarded-For: 10.1.2.3\r\n%sContent-Length: %d\r\n\r\n%s",
		fields, len(order), order)
	b.SetParallelism(16)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		c, err := net.Dial("tcp", listen)
		if err != nil {
			b.Error(err)
			return
		}
		defer c.Close()
		in := bufio.NewReader(c)
		for pb.Next() {
			if _, err := io.WriteString(c, request); err != nil {
				b.Error(err)
				return
			}
			if status, err := skipAnswer(in); err != nil || !strings.Contains(status, "202") {
				b.Error(status, err)
				return
			}
		}
	})
	b.StopTimer()
	if cache != "" { // a limiter that gave the cache up would look cheap
		_, after, _ := strings.Cut(read(b, "http://"+admin+"/metrics"), "\nordbench_gateway_ratelimit_local_total ")
		var local float64
		fmt.Sscan(after, &local)
		b.ReportMetric(100*local/float64(b.N), "local-%")
	}
	stdin.Close()
	if err := cmd.Wait(); err != nil {
		b.Fatal(err)
	}
	usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	cpu := time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	b.ReportMetric(float64(cpu.Microseconds())/float64(b.N), "cpu-µs/op")
	b.ReportMetric(float64(b.N)/cpu.Seconds(), "req/cpu-s")
}

// skipAnswer reads one answer and returns its status line.
func skipAnswer(in *bufio.Reader) (string, error) {
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(io.Discard, res.Body)
	return res.Status, err
}

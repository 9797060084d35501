package resilience

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// TestEveryCacheCountsAlike holds what the limiter relies on for every cache
// that it runs on: the one in this binary, and Redis, at the address that
// ORDBENCH_TEST_REDIS names or started here where it is installed.
func TestEveryCacheCountsAlike(t *testing.T) {
	t.Run("miniredis", func(t *testing.T) { countsAlike(t, miniredis.RunT(t).Addr()) })
	t.Run("redis", func(t *testing.T) {
		addr := os.Getenv("ORDBENCH_TEST_REDIS")
		if addr == "" {
			addr = startRedis(t)
		}
		countsAlike(t, addr)
	})
}

func startRedis(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("ORDBENCH_REQUIRE_DOCKER") == "1" {
			t.Fatal("ORDBENCH_TEST_REDIS names no cache, and ORDBENCH_REQUIRE_DOCKER is set")
		}
		t.Skip("redis-server is not installed, and ORDBENCH_TEST_REDIS names no cache")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	cmd := exec.Command(program, "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir())
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	addr := net.JoinHostPort("127.0.0.1", port)
	go func() {
		for s := bufio.NewScanner(out); s.Scan(); { // a full pipe would stop it
		}
	}()
	for deadline := time.Now().Add(patient); ; time.Sleep(time.Millisecond) {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return addr
		}
		if time.Now().After(deadline) {
			t.Fatal("redis-server never came up")
		}
	}
}

func countsAlike(t *testing.T, addr string) {
	limit := Limit{Requests: 5, Per: time.Hour} // nothing comes back while the test runs
	client := fmt.Sprintf("client-%d", time.Now().UnixNano())
	var gateways []*Limiter
	for range 2 {
		cache := NewCacheClient(addr, patient)
		t.Cleanup(func() { cache.Close() })
		gateways = append(gateways, NewLimiter(limit, cache, NewBreaker("a->cache", BreakerConfig{Enabled: true, OpenFor: time.Hour})))
	}
	for i := range 8 {
		d := gateways[i%2].Allow(t.Context(), client)
		if want := i < 5; d.Allowed != want {
			t.Errorf("request %d over two gateways: allowed %v, want %v", i+1, d.Allowed, want)
		}
		if want := max(0, 4-i); d.Remaining != want {
			t.Errorf("request %d: %d remain, want %d", i+1, d.Remaining, want)
		}
		if !d.Allowed && (d.RetryAfter <= 0 || d.RetryAfter > limit.Per/5) {
			t.Errorf("request %d is told to come back in %s, want within %s", i+1, d.RetryAfter, limit.Per/5)
		}
	}
	if d := gateways[0].Allow(t.Context(), client+"-other"); !d.Allowed || d.Remaining != 4 {
		t.Errorf("another client: %+v, want a share of its own", d)
	}
	cache := NewCacheClient(addr, patient)
	defer cache.Close()
	keys, err := cache.Keys(t.Context(), "*"+client+"*").Result()
	if err != nil || len(keys) == 0 {
		t.Fatalf("keys %v, %v", keys, err)
	}
	for _, key := range keys {
		if ttl, err := cache.PTTL(t.Context(), key).Result(); err != nil || ttl <= 0 || ttl > limit.Per {
			t.Errorf("%s expires in %s, %v; want within %s", key, ttl, err, limit.Per)
		}
	}
}

package embedded

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func dial(t *testing.T, c *component) *redis.Client {
	t.Helper()
	r := redis.NewClient(&redis.Options{Addr: c.listen, MaxRetries: -1})
	t.Cleanup(func() { r.Close() })
	return r
}

// fill sets a key of each kind, one of them with bytes that are not text.
func fill(t *testing.T, r *redis.Client) {
	t.Helper()
	ctx := t.Context()
	_, err := r.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.Set(ctx, "string", "a\x00\xff", 0)
		p.Set(ctx, "limit:10.1.2.3", "1700000000000000", time.Hour)
		p.HSet(ctx, "hash", "f", "1", "g", "2")
		p.RPush(ctx, "list", "x", "y", "x")
		p.SAdd(ctx, "set", "m", "n")
		p.ZAdd(ctx, "zset", redis.Z{Score: 0.1, Member: "low"}, redis.Z{Score: -1e300, Member: "lowest"})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func checkFilled(t *testing.T, r *redis.Client) {
	t.Helper()
	ctx := t.Context()
	if v, err := r.Get(ctx, "string").Result(); v != "a\x00\xff" || err != nil {
		t.Errorf("string: %q, %v", v, err)
	}
	if ttl, err := r.PTTL(ctx, "string").Result(); ttl != -1 || err != nil {
		t.Errorf("string lives %v, %v; want for ever", ttl, err)
	}
	if ttl, err := r.PTTL(ctx, "limit:10.1.2.3").Result(); ttl <= 50*time.Minute || ttl > time.Hour || err != nil {
		t.Errorf("limit lives %v, %v; want about an hour", ttl, err)
	}
	if v, err := r.HGetAll(ctx, "hash").Result(); len(v) != 2 || v["f"] != "1" || v["g"] != "2" || err != nil {
		t.Errorf("hash: %v, %v", v, err)
	}
	if v, err := r.LRange(ctx, "list", 0, -1).Result(); strings.Join(v, "") != "xyx" || err != nil {
		t.Errorf("list: %v, %v", v, err)
	}
	if v, err := r.SMembersMap(ctx, "set").Result(); len(v) != 2 || err != nil {
		t.Errorf("set: %v, %v", v, err)
	}
	if v, err := r.ZRangeWithScores(ctx, "zset", 0, -1).Result(); err != nil || len(v) != 2 || v[0].Member != "lowest" || v[0].Score != -1e300 || v[1].Score != 0.1 {
		t.Errorf("zset: %v, %v", v, err)
	}
}

func TestStoppedCacheComesBackAsItWas(t *testing.T) {
	c := newComponent(t, "cache")
	c.start(t)
	fill(t, dial(t, c))
	c.stop(t)
	c.start(t)
	checkFilled(t, dial(t, c))
}

func TestKilledCacheComesBackAsItWasSaved(t *testing.T) {
	c := newComponent(t, "cache")
	c.start(t)
	fill(t, dial(t, c))
	awaitSaved(t, c, 6)
	c.kill(t)
	c.start(t)
	checkFilled(t, dial(t, c))
}

// awaitSaved returns once the cache has saved n keys by itself.
func awaitSaved(t *testing.T, c *component, n int) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for time.Now().Before(deadline) {
		raw, err := os.ReadFile(filepath.Join(c.dir, "cache.json"))
		if err != nil {
			continue
		}
		s, err := decodeSnapshot(raw)
		if err != nil {
			t.Fatalf("a reader found half a snapshot: %v", err)
		}
		if len(s.Keys) == n {
			return
		}
	}
	t.Fatal("nothing was saved")
}

func TestKeysExpire(t *testing.T) {
	c := newComponent(t, "cache")
	c.start(t)
	r := dial(t, c)
	if err := r.Set(t.Context(), "short", "1", 100*time.Millisecond).Err(); err != nil {
		t.Fatal(err)
	}
	if err := r.Set(t.Context(), "long", "1", time.Hour).Err(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for {
		err := r.Get(ctx, "short").Err()
		if errors.Is(err, redis.Nil) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Get(ctx, "long").Err(); err != nil {
		t.Errorf("long: %v", err)
	}
}

func TestScriptsRunAndAreForgottenByARestart(t *testing.T) {
	c := newComponent(t, "cache")
	c.start(t)
	script := redis.NewScript(`local t = redis.call("TIME") return redis.call("INCRBY", KEYS[1], ARGV[1])`)
	for i := range 2 {
		// Run sends the text again when the server does not know it.
		if n, err := script.Run(t.Context(), dial(t, c), []string{"n"}, 2).Int(); err != nil || n != 2*(i+1) {
			t.Fatalf("run %d: %d, %v", i, n, err)
		}
		c.stop(t)
		c.start(t)
		if known, err := script.Exists(t.Context(), dial(t, c)).Result(); err != nil || known[0] {
			t.Fatalf("script known after a restart: %v, %v", known, err)
		}
	}
}

func TestCacheStartsEmptyOnASnapshotThatItCannotRead(t *testing.T) {
	c := newComponent(t, "cache")
	if err := os.WriteFile(filepath.Join(c.dir, "cache.json"), []byte(`{"version":1,"keys":[{"database"`), 0o600); err != nil {
		t.Fatal(err)
	}
	c.start(t)
	if n, err := dial(t, c).DBSize(t.Context()).Result(); n != 0 || err != nil {
		t.Errorf("%d keys, %v", n, err)
	}
	if log := c.stop(t); !strings.Contains(log, "start empty") {
		t.Errorf("it did not say so:\n%s", log)
	}
}

package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"golang.org/x/sync/errgroup"

	"github.com/ordbench/ordbench/system/endpoint"
)

const (
	// cacheTick is how often the cache looks for expired keys, at most. A key
	// may be gone this much before its time, because what is set between two
	// ticks ages by the whole of one.
	cacheTick = 20 * time.Millisecond
	// A look goes through all keys. With so many that one look takes long, the
	// next is put off until it takes no more than this share of the time, yet
	// not for longer than slowTick.
	agingShare = 200
	slowTick   = 200 * time.Millisecond
	// saveEvery is how much a killed cache may forget, as with Redis's
	// appendfsync everysec.
	saveEvery = 500 * time.Millisecond
)

// CacheConfig is what one cache process is told.
type CacheConfig struct {
	Replica string
	Listen  string // host:port for clients
	Admin   string // host:port for health and metrics
	Dir     string // data directory, of this cache alone
}

// Validate returns every problem of the configuration.
func (cfg CacheConfig) Validate() error { return validate(cfg.Listen, cfg.Admin, cfg.Dir) }

const ping = "*1\r\n$4\r\nPING\r\n"

// RunCache is a Redis server of one node until ctx ends, with Lua. It keeps
// strings, hashes, lists, sets and sorted sets with their expiry over a
// restart; streams, hyperloglogs and the expiry of single hash fields are
// forgotten, and so are scripts, so clients have to be ready for NOSCRIPT.
func RunCache(ctx context.Context, cfg CacheConfig, log *slog.Logger) error {
	if err := cfg.Validate(); err != nil {
		return fmt.Errorf("cache: %w", err)
	}
	release, err := claim(cfg.Dir)
	if err != nil {
		return fmt.Errorf("cache: %w", err)
	}
	defer release()
	c, err := newCache(filepath.Join(cfg.Dir, "cache.json"), log)
	if err != nil {
		return fmt.Errorf("cache: %w", err)
	}
	l, err := endpoint.Listen(ctx, cfg.Listen)
	if err != nil {
		c.redis.Close()
		return fmt.Errorf("cache: %w", err)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return health("cache", cfg.Replica, cfg.Admin, cfg.Listen, ping).Serve(ctx) })
	g.Go(func() error { return c.accept(ctx, l) })
	g.Go(func() error { c.live(ctx); return nil })
	g.Go(func() error {
		<-ctx.Done()
		return ignoreClosed(l.Close())
	})
	log.Info("cache ready", "listen", cfg.Listen)
	err = g.Wait()
	c.redis.Close() // ends the connections, so that the last save misses nothing
	if err := errors.Join(err, c.save()); err != nil {
		return fmt.Errorf("cache: %w", err)
	}
	return nil
}

// cache is a Redis server whose time passes and whose keys are saved.
type cache struct {
	redis  *miniredis.Miniredis
	server *server.Server // of redis, which forgets it when it is closed
	path   string
	log    *slog.Logger

	aged     time.Time // up to when the keys have aged
	commands int       // seen by the last save
}

// newCache starts a server without a listener, with the keys saved at path. A
// snapshot that cannot be read is not worth to stay down for: it is a cache.
func newCache(path string, log *slog.Logger) (*cache, error) {
	c := &cache{redis: miniredis.NewMiniRedis(), path: path, log: log, aged: time.Now()}
	conn, err := c.redis.Dial() // the way to start it without a listener
	if err != nil {
		return nil, err
	}
	conn.Close()
	c.server = c.redis.Server()
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	var s snapshot
	if err == nil {
		s, err = decodeSnapshot(raw)
	}
	if err == nil {
		err = s.restore(c.redis, c.aged)
	}
	if err != nil {
		log.Error("start empty", "snapshot", path, "error", err)
		c.redis.FlushAll()
	}
	return c, nil
}

func (c *cache) accept(ctx context.Context, l net.Listener) error {
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			if err == nil {
				conn.Close()
			}
			return nil
		}
		if err != nil {
			return err
		}
		c.server.ServeConn(conn)
	}
}

// live lets time pass and saves what has changed, until ctx ends.
func (c *cache) live(ctx context.Context) {
	tick := time.NewTimer(cacheTick)
	defer tick.Stop()
	saved := time.Now()
	var failed bool
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		c.redis.FastForward(now.Sub(c.aged))
		c.aged = now
		tick.Reset(min(max(cacheTick, agingShare*time.Since(now)), slowTick))
		if now.Sub(saved) < saveEvery {
			continue
		}
		saved = now
		err := c.save()
		if err != nil && !failed { // once, not twice a second
			c.log.Error("save", "error", err)
		}
		failed = err != nil
	}
}

// save writes a snapshot if any command has come since the last one.
func (c *cache) save() error {
	commands := c.server.TotalCommands()
	if commands == c.commands {
		return nil
	}
	raw, err := takeSnapshot(c.redis, c.aged).encode()
	if err != nil {
		return err
	}
	if err := replace(c.path, raw); err != nil {
		return err
	}
	c.commands = commands
	return nil
}

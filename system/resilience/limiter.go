package resilience

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
)

const (
	// CachePatience bounds what a hanging cache may cost one request.
	CachePatience = 50 * time.Millisecond
	// localClients bounds the memory of the local fallback, in two halves.
	localClients = 1 << 16
	keyPrefix    = "ratelimit:"
)

// admitScript is gcra.admit, so that reading, deciding and writing are one
// step for all gateways, on the cache's clock. KEYS[1] holds the tat;
// ARGV[1] is the cost and ARGV[2] the burst in µs. It answers whether the
// request is allowed (1 or 0) and the µs by which the tat is ahead of now.
// Numbers are written with %.0f: Lua would shorten 16 digits to 1.7e+15. The
// key expires with the debt it stands for, in the same step.
var admitScript = redis.NewScript(`
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local cost, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local tat = tonumber(redis.call('GET', KEYS[1]) or now)
if tat < now or tat > now + burst then
  tat = now
end
local next = tat + cost
if next - now > burst then
  return {0, tat - now}
end
redis.call('SET', KEYS[1], string.format('%.0f', next), 'PX', string.format('%.0f', math.ceil((next - now) / 1000)))
return {1, next - now}
`)

// Limiter holds each client to a Limit, counted in a Redis cache that all
// gateways share. When the cache is away it counts alone, each gateway for
// itself and for a bounded number of clients: a client pushed out by many
// others starts afresh.
type Limiter struct {
	gcra     gcra
	client   *redis.Client
	patience time.Duration // with the client's answer
	breaker  *Breaker

	mu     sync.Mutex
	recent map[string]int64 // tat of each client while the cache is away
	older  map[string]int64 // what recent was before it was full
}

// NewLimiter limits with the cache that client speaks to. The breaker is the
// limiter's own: once it is open, a dead cache costs no time. A nil client
// limits locally.
func NewLimiter(limit Limit, client *redis.Client, breaker *Breaker) *Limiter {
	l := &Limiter{gcra: newGCRA(limit), client: client, breaker: breaker, recent: map[string]int64{}}
	if client != nil {
		l.patience = client.Options().ReadTimeout
	}
	return l
}

// NewCacheClient speaks to the cache at addr as a limiter needs it: one try,
// given up after patience, such as CachePatience.
func NewCacheClient(addr string, patience time.Duration) *redis.Client {
	logging.Disable() // it would write past our log; the breaker tells
	return redis.NewClient(&redis.Options{
		Addr:                  addr,
		Protocol:              2,
		DisableIdentity:       true,
		MaxRetries:            -1,
		DialerRetries:         1,
		DialTimeout:           patience,
		ReadTimeout:           patience,
		WriteTimeout:          patience,
		PoolTimeout:           patience,
		PoolSize:              64,
		PipelinePoolSize:      -1,
		ReadBufferSize:        1 << 10,
		WriteBufferSize:       1 << 10,
		ContextTimeoutEnabled: true,
		MaintNotificationsConfig: &maintnotifications.Config{
			Mode: maintnotifications.ModeDisabled,
		},
	})
}

// Allow decides about one request of a client. It always decides: without the
// cache it does so locally.
func (l *Limiter) Allow(ctx context.Context, client string) Decision {
	if l.client != nil {
		var d Decision
		err := l.breaker.Do(ctx, func(ctx context.Context) (err error) {
			ctx, cancel := context.WithTimeout(ctx, l.patience)
			defer cancel()
			d, err = l.shared(ctx, client)
			return err
		})
		if err == nil {
			return d
		}
	}
	return l.alone(client, time.Now().UnixMicro())
}

var errScriptAnswer = errors.New("rate limit script: unexpected answer")

func (l *Limiter) shared(ctx context.Context, client string) (Decision, error) {
	answer, err := admitScript.Run(ctx, l.client, []string{keyPrefix + client}, l.gcra.cost, l.gcra.burst).Int64Slice()
	if err != nil {
		return Decision{}, err
	}
	if len(answer) != 2 {
		return Decision{}, errScriptAnswer
	}
	return l.gcra.decision(answer[0] == 1, answer[1]), nil
}

// alone decides without the cache at now, in µs of the Unix epoch.
func (l *Limiter) alone(client string, now int64) Decision {
	l.mu.Lock()
	defer l.mu.Unlock()
	tat, known := l.recent[client]
	if !known {
		tat = l.older[client]
	}
	next, allowed := l.gcra.admit(tat, now)
	owed := next - now
	if allowed {
		if !known && len(l.recent) >= localClients/2 {
			l.older, l.recent = l.recent, map[string]int64{}
		}
		l.recent[client] = next
	} else {
		owed -= l.gcra.cost
	}
	d := l.gcra.decision(allowed, owed)
	d.Local = true
	return d
}

package resilience

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
)

const (
	// CachePatience bounds what a hanging cache may cost one request.
	CachePatience = 100 * time.Millisecond
	// localClients bounds the memory of the local fallback, in two halves.
	localClients = 1 << 16
	keyPrefix    = "ratelimit:"
)

// admitScript is gcra.admit for a batch of requests, so that reading,
// deciding and writing are one step for all gateways, on the cache's clock.
// Each of KEYS holds the tat of a client, who may be in the batch more than
// once; ARGV[1] is the cost and ARGV[2] the burst in µs. For each it answers
// whether the request is allowed (1 or 0) and the µs by which the tat is
// ahead of now. Numbers are written with %.0f: Lua would shorten 16 digits to
// 1.7e+15. A key expires with the debt it stands for, in the same step.
var admitScript = redis.NewScript(`
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local cost, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local answers = {}
for i, key in ipairs(KEYS) do
  local tat = tonumber(redis.call('GET', key) or now)
  if tat < now or tat > now + burst then
    tat = now
  end
  local next = tat + cost
  if next - now > burst then
    answers[2 * i - 1] = 0
    answers[2 * i] = tat - now
  else
    redis.call('SET', key, string.format('%.0f', next), 'PX', string.format('%.0f', math.ceil((next - now) / 1000)))
    answers[2 * i - 1] = 1
    answers[2 * i] = next - now
  end
end
return answers
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
	turn     chan struct{} // held by the one batch that is asked at the cache
	asked    time.Time     // when that was last; of whoever has the turn

	gathering sync.Mutex
	batch     *batch // that still takes requests; nil: the next one opens it

	mu     sync.Mutex
	recent map[string]int64 // tat of each client while the cache is away
	older  map[string]int64 // what recent was before it was full
}

// NewLimiter limits with the cache that client speaks to. The breaker is the
// limiter's own: once it is open, a dead cache costs no time. A nil client
// limits locally.
func NewLimiter(limit Limit, client *redis.Client, breaker *Breaker) *Limiter {
	l := &Limiter{gcra: newGCRA(limit), client: client, breaker: breaker, turn: make(chan struct{}, 1), recent: map[string]int64{}}
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
	if l.client != nil && l.breaker.passes() {
		if d, ok := l.shared(ctx, client); ok {
			return d
		}
	}
	return l.alone(client, time.Now().UnixMicro())
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

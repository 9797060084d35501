package gateway

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/uuid"
)

func TestClientIdentity(t *testing.T) {
	for _, row := range []struct {
		name    string
		peer    string
		trusted string
		hops    []string
		client  string
	}{
		{"no proxy is trusted: the peer", "192.0.2.1:99", "", []string{"203.0.113.5"}, "192.0.2.1"},
		{"a forged hop from an untrusted peer is ignored", "192.0.2.1:99", "10.0.0.0/8", []string{"203.0.113.5"}, "192.0.2.1"},
		{"a trusted proxy names the client", "10.1.1.1:99", "10.0.0.0/8", []string{"203.0.113.5"}, "203.0.113.5"},
		{"without a hop the proxy is the client", "10.1.1.1:99", "10.0.0.0/8", nil, "10.1.1.1"},
		{"the last untrusted hop counts, what it claims does not", "10.1.1.1:99", "10.0.0.0/8", []string{"198.51.100.7, 203.0.113.5"}, "203.0.113.5"},
		{"trusted hops are passed over", "10.1.1.1:99", "10.0.0.0/8", []string{"203.0.113.5, 10.9.9.9,10.2.2.2"}, "203.0.113.5"},
		{"several fields are one list", "10.1.1.1:99", "10.0.0.0/8", []string{"198.51.100.7, 203.0.113.5", "10.2.2.2"}, "203.0.113.5"},
		{"all hops trusted: the first", "10.1.1.1:99", "10.0.0.0/8", []string{"10.3.3.3, 10.2.2.2"}, "10.3.3.3"},
		{"nonsense ends the search at its reporter", "10.1.1.1:99", "10.0.0.0/8", []string{"203.0.113.5, unknown, 10.2.2.2"}, "10.2.2.2"},
		{"an empty field is nonsense", "10.1.1.1:99", "10.0.0.0/8", []string{""}, "10.1.1.1"},
		{"a port is dropped", "10.1.1.1:99", "10.0.0.0/8", []string{"203.0.113.5:1234"}, "203.0.113.5"},
		{"IPv4 in IPv6 is IPv4", "[::ffff:10.1.1.1]:99", "10.0.0.0/8", []string{"::ffff:203.0.113.5"}, "203.0.113.5"},
		{"IPv6 clients are named by their network", "10.1.1.1:99", "10.0.0.0/8", []string{"2001:db8:1:2:3:4:5:6"}, "2001:db8:1:2::/64"},
		{"an IPv6 hop with a port", "10.1.1.1:99", "10.0.0.0/8", []string{"[2001:db8:1:2::9]:443"}, "2001:db8:1:2::/64"},
		{"a trusted IPv6 proxy", "[fd00::1]:99", "fd00::/8", []string{"203.0.113.5"}, "203.0.113.5"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var trusted proxies
			if row.trusted != "" {
				trusted = proxies{netip.MustParsePrefix(row.trusted)}
			}
			_, got := trusted.client(&http.Request{RemoteAddr: row.peer, Header: http.Header{"X-Forwarded-For": row.hops}})
			if share(got) != row.client {
				t.Errorf("%s, want %s", share(got), row.client)
			}
		})
	}
}

func FuzzClientIdentity(f *testing.F) {
	f.Add("10.1.1.1:99", "203.0.113.5, 10.2.2.2", "")
	f.Add("[::1]:1", "fe80::1%eth0", ",,,")
	f.Add("@", "", "[::ffff:1.2.3.4]:9")
	trusted := proxies{netip.MustParsePrefix("10.0.0.0/8")}
	f.Fuzz(func(t *testing.T, remote, first, second string) {
		peer, client := trusted.client(&http.Request{RemoteAddr: remote, Header: http.Header{"X-Forwarded-For": {first, second}}})
		if !trusted.trust(peer) && client != peer {
			t.Errorf("untrusted peer %s was believed: %s", peer, client)
		}
		if client.Is4In6() || client.Zone() != "" {
			t.Errorf("%s is another name of the same client", client)
		}
		if share(client) == "" {
			t.Error("a client without a name")
		}
	})
}

// seen runs one request through a gateway and returns what the service got.
func seen(t *testing.T, trusted []string, header ...string) http.Header {
	t.Helper()
	var got http.Header
	e := start(t, []string{service(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Clone()
		w.Header().Set("Connection", "X-Secret")
		w.Header().Set("X-Secret", "1")
		w.Header().Set("Keep-Alive", "timeout=1")
		accept(w, r)
	})}, func(c *Config, _ *limits) { c.TrustedProxies = trusted })
	r := post(t, e, order, header...)
	if r.status != 202 {
		t.Fatalf("%+v", r)
	}
	if r.header.Get("X-Secret") != "" || r.header.Get("Keep-Alive") != "" {
		t.Errorf("fields of the service's connection came through: %v", r.header)
	}
	if r.header.Get("Idempotency-Key") != got.Get("Idempotency-Key") {
		t.Errorf("the client was told key %q, the service %q", r.header.Get("Idempotency-Key"), got.Get("Idempotency-Key"))
	}
	return got
}

func TestServiceSeesOnlyWhatMayBeBelieved(t *testing.T) {
	claims := []string{"X-Forwarded-For", "203.0.113.5", "X-Forwarded-Host", "evil", "X-Real-Ip", "203.0.113.5",
		"Connection", "X-Hop", "X-Hop", "1", "Te", "trailers", "Traceparent", "00-1", "Content-Type", "application/json"}
	got := seen(t, nil, claims...)
	for name, want := range map[string]string{
		"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "", "X-Real-Ip": "",
		"X-Hop": "", "Te": "", "Traceparent": "", "Content-Type": "application/json",
	} {
		if v := got.Get(name); v != want {
			t.Errorf("untrusted peer, %s: %q, want %q", name, v, want)
		}
	}
	got = seen(t, []string{"127.0.0.0/8"}, claims...)
	for name, want := range map[string]string{
		"X-Forwarded-For": "203.0.113.5, 127.0.0.1", "X-Forwarded-Host": "evil", "X-Real-Ip": "203.0.113.5", "Traceparent": "00-1",
	} {
		if v := got.Get(name); v != want {
			t.Errorf("trusted peer, %s: %q, want %q", name, v, want)
		}
	}
}

func TestIdempotencyKeyIsKeptOrMade(t *testing.T) {
	if got := seen(t, nil, "Idempotency-Key", "mine").Values("Idempotency-Key"); len(got) != 1 || got[0] != "mine" {
		t.Errorf("key of the client: %q", got)
	}
	made := seen(t, nil).Get("Idempotency-Key")
	if id, err := uuid.Parse(made); err != nil || id.Version() != 7 {
		t.Errorf("made key %q is not a UUIDv7", made)
	}
	e := start(t, []string{service(t, accept)}, nil)
	wantProblem(t, post(t, e, order, "Idempotency-Key", "a", "Idempotency-Key", "b"), 400, "idempotency-key")
}

func TestRateLimitPerClient(t *testing.T) {
	cache := miniredis.RunT(t)
	cache.SetTime(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	e := start(t, []string{service(t, accept)}, func(c *Config, _ *limits) {
		c.RateLimit = RateLimit{Requests: 3, Per: time.Minute}
		c.Cache = cache.Addr()
		c.TrustedProxies = []string{"127.0.0.0/8"}
	})
	one, two := []string{"X-Forwarded-For", "10.0.0.1"}, []string{"X-Forwarded-For", "10.0.0.2"}
	for i, want := range []string{`"client";r=2;t=20`, `"client";r=1;t=40`, `"client";r=0;t=60`} {
		got := post(t, e, order, one...)
		if got.status != 202 || got.header.Get("RateLimit") != want || got.header.Get("RateLimit-Policy") != `"client";q=3;w=60` {
			t.Errorf("order %d: %d, RateLimit %q, policy %q", i, got.status, got.header.Get("RateLimit"), got.header.Get("RateLimit-Policy"))
		}
	}
	got := post(t, e, order, one...)
	wantProblem(t, got, 429, byRateLimit)
	for name, want := range map[string]string{
		refusedBy: byRateLimit, "Retry-After": "20", "RateLimit": `"client";r=0;t=60`,
	} {
		if v := got.header.Get(name); v != want {
			t.Errorf("%s: %q, want %q", name, v, want)
		}
	}
	if got := post(t, e, order, two...); got.status != 202 {
		t.Errorf("another client: %+v", got)
	}
	cache.Close()
	if got := post(t, e, order, one...); got.status != 202 {
		t.Errorf("without the cache: %+v, want let through", got)
	}
}

func TestForgedAddressBuysNoFreshShare(t *testing.T) {
	cache := miniredis.RunT(t)
	e := start(t, []string{service(t, accept)}, func(c *Config, _ *limits) {
		c.RateLimit = RateLimit{Requests: 1, Per: time.Hour}
		c.Cache = cache.Addr()
	})
	if got := post(t, e, order, "X-Forwarded-For", "203.0.113.1"); got.status != 202 {
		t.Fatalf("%+v", got)
	}
	wantProblem(t, post(t, e, order, "X-Forwarded-For", "203.0.113.2"), 429, byRateLimit)
}

func TestConfigValidateNamesEveryProblem(t *testing.T) {
	cfg := Config{Listen: "nowhere", Orders: []string{"x"}, TrustedProxies: []string{"10.0.0.1"}, RateLimit: RateLimit{Requests: 5}}
	cfg.Breaker.Failures = -1
	got := cfg.Validate()
	for _, want := range []string{
		"replica is missing", `listen "nowhere" is not host:port`, `admin "" is not host:port`, `order "x" is not host:port`,
		"inventories are missing", `cache "" is not host:port`, "rate limit per 0s", "breaker failures -1",
		"timeout is not positive: 0s", "grace is not positive: 0s", `trusted proxy "10.0.0.1" is not a CIDR`,
	} {
		if got == nil || !strings.Contains(got.Error(), want) {
			t.Errorf("%v\nlacks %s", got, want)
		}
	}
}

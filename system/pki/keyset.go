package pki

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	// refreshApart is the time that a look at the key set for an unknown key
	// has to itself, and refreshBurst how many may be had at once: a flood
	// of tokens with made-up keys must not become a flood there.
	refreshApart = time.Second
	refreshBurst = 5
	// refreshAfter is the longest that a key which was withdrawn is trusted.
	refreshAfter = 5 * time.Minute

	keySetLimit   = 1 << 20 // bytes
	keySetTimeout = 2 * time.Second
)

// keySet is the keys of an issuer, fetched from a file or over HTTP.
type keySet struct {
	source string
	client *http.Client

	looked  atomic.Int64  // when the source was last asked, in vain or not; ns of the Unix epoch
	version atomic.Uint64 // changes with the keys

	mu      sync.Mutex
	keys    map[string]ed25519.PublicKey // by key id
	problem error                        // of the last look
	paid    time.Time                    // until when looks for unknown keys are used up
}

func newKeySet(source string) *keySet {
	return &keySet{source: source, client: &http.Client{Timeout: keySetTimeout}}
}

// find is the key with that id. An unknown one may be new, so the source is
// asked, though not as often as anybody likes.
func (s *keySet) find(ctx context.Context, id string, now time.Time) (key ed25519.PublicKey, version uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.keys[id] != nil
	if s.age(now) >= refreshAfter || !known && s.mayLook(now) {
		s.look(ctx, now)
	}
	switch key = s.keys[id]; {
	case key != nil:
		return key, s.version.Load(), nil
	case s.problem != nil:
		return nil, 0, fmt.Errorf("%w: %w", ErrNoKeys, s.problem)
	}
	return nil, 0, fmt.Errorf("%w: there is none with id %.40q", ErrTokenForged, id)
}

// current is the version of the keys. When they are old one caller looks
// after them, and nobody else waits for it.
func (s *keySet) current(ctx context.Context, now time.Time) uint64 {
	if s.age(now) >= refreshAfter && s.mu.TryLock() {
		s.look(ctx, now)
		s.mu.Unlock()
	}
	return s.version.Load()
}

// mayLook takes one of the looks that there are for unknown keys.
func (s *keySet) mayLook(now time.Time) bool {
	if s.paid.Before(now) {
		s.paid = now
	}
	if s.paid.Sub(now) > (refreshBurst-1)*refreshApart {
		return false
	}
	s.paid = s.paid.Add(refreshApart)
	return true
}

// age is the time since the last look.
func (s *keySet) age(now time.Time) time.Duration {
	return time.Duration(now.UnixNano() - s.looked.Load())
}

// look asks the source. Keys that can't be had are no reason to forget those
// that are known. The caller holds the lock: whoever else needs a key waits
// for the same answer.
func (s *keySet) look(ctx context.Context, now time.Time) {
	s.looked.Store(now.UnixNano())
	text, err := s.fetch(context.WithoutCancel(ctx))
	if err == nil {
		var keys map[string]ed25519.PublicKey
		if keys, err = parseKeySet(text); err == nil && !sameKeys(keys, s.keys) {
			s.keys = keys
			s.version.Add(1)
		}
	}
	if s.problem = err; err != nil {
		s.problem = fmt.Errorf("key set of %s: %w", s.source, err)
	}
}

func (s *keySet) fetch(ctx context.Context) ([]byte, error) {
	if u, err := url.Parse(s.source); err != nil || !strings.HasPrefix(u.Scheme, "http") {
		return os.ReadFile(s.source)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.source, nil)
	if err != nil {
		return nil, err
	}
	res, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d", res.StatusCode)
	}
	return io.ReadAll(io.LimitReader(res.Body, keySetLimit))
}

// parseKeySet reads the Ed25519 keys of a JWKS document. Keys of other kinds
// are somebody else's business.
func parseKeySet(text []byte) (map[string]ed25519.PublicKey, error) {
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, err
	}
	keys := map[string]ed25519.PublicKey{}
	for _, k := range set.Keys {
		public, ok := k.Key.(ed25519.PublicKey)
		if ok && k.KeyID != "" && (k.Use == "" || k.Use == "sig") {
			keys[k.KeyID] = public
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("no Ed25519 key with an id")
	}
	return keys, nil
}

func sameKeys(a, b map[string]ed25519.PublicKey) bool {
	if len(a) != len(b) {
		return false
	}
	for id, key := range a {
		if !key.Equal(b[id]) {
			return false
		}
	}
	return true
}

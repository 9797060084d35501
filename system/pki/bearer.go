package pki

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// BearerConfig says which bearer tokens are believed.
type BearerConfig struct {
	Keys     string        `json:"keys"`     // the JWKS document: a file, or an http or https URL
	Issuer   string        `json:"issuer"`   // the iss that a token must have
	Audience string        `json:"audience"` // that its aud must name
	Skew     time.Duration `json:"skew"`     // how far clocks may be apart, nanoseconds in JSON
}

// Caller is who a bearer token speaks for.
type Caller struct {
	Subject    string // the customer
	Storefront bool   // acts for any customer
	Batch      bool   // can wait
}

const (
	tokenLimit = 4 << 10 // bytes of a bearer token
	// knownTokens bounds the memory of what was verified, in two halves.
	knownTokens = 1 << 15
)

// Errors of a Verifier. None of them says more than its bearer may know.
var (
	ErrTokenExpired = errors.New("the token has expired")
	ErrTokenEarly   = errors.New("the token is not valid yet")
	ErrTokenForeign = errors.New("the token is of another issuer or for another audience")
	ErrTokenForged  = errors.New("the token is not signed by a key of the issuer")
	ErrNoKeys       = errors.New("the keys of the issuer cannot be had")
	ErrTokenShape   = errors.New("the token is malformed or not signed with EdDSA")
)

// Verifier checks bearer tokens against the keys of their issuer. A token
// that was verified is remembered by its hash until it expires or the keys
// change, because the signature costs more than all else the gateway does.
type Verifier struct {
	cfg  BearerConfig
	keys *keySet

	mu      sync.Mutex
	version uint64 // of the keys that recent and older were verified with
	recent  map[[sha256.Size]byte]verified
	older   map[[sha256.Size]byte]verified // what recent was before it was full
}

type verified struct {
	caller Caller
	until  time.Time
}

// NewVerifier makes a verifier; keys are fetched with the first token.
func NewVerifier(cfg BearerConfig) *Verifier {
	return &Verifier{cfg: cfg, keys: newKeySet(cfg.Keys), recent: map[[sha256.Size]byte]verified{}}
}

// Verify says who token speaks for at now. Its error is one of those above,
// with a detail that is for the log and not for the bearer.
func (v *Verifier) Verify(ctx context.Context, token string, now time.Time) (Caller, error) {
	if len(token) > tokenLimit {
		return Caller{}, ErrTokenShape
	}
	hash := sha256.Sum256([]byte(token))
	if known, ok := v.known(hash, v.keys.current(ctx, now)); ok {
		if !now.Before(known.until) {
			return Caller{}, ErrTokenExpired
		}
		return known.caller, nil
	}
	found, version, err := v.check(ctx, token, now)
	if err != nil {
		return Caller{}, err
	}
	v.remember(hash, found, version)
	return found.caller, nil
}

// check verifies a token from scratch.
func (v *Verifier) check(ctx context.Context, token string, now time.Time) (verified, uint64, error) {
	// The algorithm is ours to choose: a header that says "none" or names
	// another one does not even parse.
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil || len(parsed.Headers) != 1 {
		return verified{}, 0, ErrTokenShape
	}
	key, version, err := v.keys.find(ctx, parsed.Headers[0].KeyID, now)
	if err != nil {
		return verified{}, 0, err
	}
	var c claims
	if err := parsed.Claims(key, &c); err != nil {
		if errors.Is(err, jose.ErrCryptoFailure) {
			return verified{}, 0, ErrTokenForged
		}
		return verified{}, 0, ErrTokenShape
	}
	if c.Expiry == nil || c.Subject == "" {
		return verified{}, 0, ErrTokenShape // a token that never ends, or speaks for nobody
	}
	switch err := c.ValidateWithLeeway(jwt.Expected{
		Issuer: v.cfg.Issuer, AnyAudience: jwt.Audience{v.cfg.Audience}, Time: now,
	}, v.cfg.Skew); {
	case errors.Is(err, jwt.ErrExpired):
		return verified{}, 0, ErrTokenExpired
	case errors.Is(err, jwt.ErrNotValidYet), errors.Is(err, jwt.ErrIssuedInTheFuture):
		return verified{}, 0, ErrTokenEarly
	case err != nil:
		return verified{}, 0, ErrTokenForeign
	}
	return verified{
		caller: Caller{
			Subject:    c.Subject,
			Storefront: slices.Contains(c.Roles, RoleStorefront),
			Batch:      slices.Contains(c.Roles, RoleBatch),
		},
		until: c.Expiry.Time().Add(v.cfg.Skew),
	}, version, nil
}

func (v *Verifier) known(hash [sha256.Size]byte, version uint64) (verified, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.version != version {
		v.version, v.recent, v.older = version, map[[sha256.Size]byte]verified{}, nil
		return verified{}, false
	}
	known, ok := v.recent[hash]
	if !ok {
		if known, ok = v.older[hash]; ok {
			v.keep(hash, known)
		}
	}
	return known, ok
}

// remember keeps what was verified, unless the keys have changed meanwhile.
func (v *Verifier) remember(hash [sha256.Size]byte, found verified, version uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.version == version {
		v.keep(hash, found)
	}
}

func (v *Verifier) keep(hash [sha256.Size]byte, found verified) {
	if len(v.recent) >= knownTokens/2 {
		v.older, v.recent = v.recent, map[[sha256.Size]byte]verified{}
	}
	v.recent[hash] = found
}

package pki

import (
	"cmp"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Who issues the bearer tokens of a stack, and for whom.
const (
	TokenIssuer   = "https://issuer.ordbench.localhost"
	TokenAudience = "https://gateway.ordbench.localhost"
)

// The roles that a bearer token may carry.
const (
	// RoleStorefront acts for any customer. Without it, a token's subject
	// is the only customer it can order for and whose orders it can see.
	RoleStorefront = "storefront"
	// RoleBatch is work that can wait: it is the first to be shed.
	RoleBatch = "batch"
)

// Grant is what a bearer token is to say.
type Grant struct {
	Subject string        // the customer, "u123"
	Roles   []string      // RoleStorefront, RoleBatch
	For     time.Duration // from now until it expires

	Audience string // whom the token is for; "": the gateway
}

// keysKept bounds the keys of an Issuer: the one that signs, and those whose
// tokens may still be around.
const keysKept = 4

// Issuer signs bearer tokens for the users of one stack. Its private keys
// live in the memory of the process that made it and nowhere else.
type Issuer struct {
	mu     sync.Mutex
	signer jose.Signer
	keys   []jose.JSONWebKey // public, the one that signs first
}

// NewIssuer makes an issuer with a fresh key.
func NewIssuer() (*Issuer, error) {
	i := &Issuer{}
	return i, i.Rotate()
}

// Rotate signs with a new key from now on. What the last few keys have signed
// stays good until it expires.
func (i *Issuer) Rotate() error {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return fmt.Errorf("make a signing key: %w", err)
	}
	id := hex.EncodeToString(public[:8])
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.EdDSA, Key: jose.JSONWebKey{Key: private, KeyID: id}},
		(&jose.SignerOptions{}).WithType("at+jwt"))
	if err != nil {
		return fmt.Errorf("make a signer: %w", err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.signer = signer
	key := jose.JSONWebKey{Key: public, KeyID: id, Algorithm: string(jose.EdDSA), Use: "sig"}
	i.keys = append([]jose.JSONWebKey{key}, i.keys[:min(len(i.keys), keysKept-1)]...)
	return nil
}

// KeySet is the JWKS document by which others check what was issued.
func (i *Issuer) KeySet() ([]byte, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return json.MarshalIndent(jose.JSONWebKeySet{Keys: i.keys}, "", "  ")
}

// claims are what a bearer token says.
type claims struct {
	jwt.Claims
	Roles []string `json:"roles,omitempty"`
}

// Issue signs a token for g.
func (i *Issuer) Issue(g Grant, now time.Time) (string, error) {
	i.mu.Lock()
	signer := i.signer
	i.mu.Unlock()
	token, err := jwt.Signed(signer).Claims(claims{
		Claims: jwt.Claims{
			Issuer:    TokenIssuer,
			Subject:   g.Subject,
			Audience:  jwt.Audience{cmp.Or(g.Audience, TokenAudience)},
			IssuedAt:  jwt.NewNumericDate(now),
			NotBefore: jwt.NewNumericDate(now),
			Expiry:    jwt.NewNumericDate(now.Add(g.For)),
		},
		Roles: g.Roles,
	}).Serialize()
	if err != nil {
		return "", fmt.Errorf("issue a token for %s: %w", g.Subject, err)
	}
	return token, nil
}

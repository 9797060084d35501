package pki

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// TokenField carries the service token of a call between services.
const TokenField = "X-Service-Token"

const (
	serviceTokenLife = 10 * time.Second
	serviceTokenSkew = 2 * time.Second
	// serviceTokenSpan is how long a token could still be used again.
	serviceTokenSpan = serviceTokenLife + 2*serviceTokenSkew
	// rememberedTokens bounds the memory for that. Who is called more often
	// refuses calls rather than believing what may have been used.
	rememberedTokens = 1 << 20
)

// Errors of service tokens.
var (
	errServiceToken = errors.New("the service token is missing, forged or for somebody else")
	errServiceTime  = errors.New("the service token is not of this moment")
	errReplayed     = errors.New("the service token was used before")
	errTooMany      = errors.New("more calls than can be told from repeated ones")
)

// tokenHead is the first part of each token of a pair and an epoch. It is
// compared as a whole, so that a token can choose neither algorithm nor key.
func tokenHead(caller, callee, epoch string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"st+jwt","kid":"` + caller + ">" + callee + ">" + epoch + `"}`))
}

// signer makes the service tokens of one caller for one callee: a JWT of one
// call, HS256 with a key that only those two have. The certificate has proven
// who calls; the token says that this call was meant, for this callee, now.
type signer struct {
	head string
	key  []byte
	said string // the claims that do not change
}

func newSigner(head string, p pair) signer {
	return signer{head, p.key, `{"iss":"` + identity(p.caller).String() + `","aud":"` + identity(p.callee).String() + `","iat":`}
}

// processID and calls make the ids of the tokens of this process.
var (
	processID = func() (id [8]byte) {
		_, _ = rand.Read(id[:]) // never fails
		return id
	}()
	calls atomic.Uint64
)

func (s signer) sign(now time.Time) string {
	var id [16]byte
	copy(id[:], processID[:])
	binary.BigEndian.PutUint64(id[8:], calls.Add(1))
	claims := make([]byte, 0, 256)
	claims = append(claims, s.said...)
	claims = strconv.AppendInt(claims, now.Unix(), 10)
	claims = append(claims, `,"exp":`...)
	claims = strconv.AppendInt(claims, now.Add(serviceTokenLife).Unix(), 10)
	claims = append(claims, `,"jti":"`...)
	claims = hex.AppendEncode(claims, id[:])
	claims = append(claims, `"}`...)

	token := make([]byte, 0, 512)
	token = append(append(token, s.head...), '.')
	token = base64.RawURLEncoding.AppendEncode(token, claims)
	sum := mac(s.key, token)
	token = append(token, '.')
	return string(base64.RawURLEncoding.AppendEncode(token, sum[:]))
}

func mac(key, signed []byte) (sum [sha256.Size]byte) {
	h := hmac.New(sha256.New, key)
	h.Write(signed)
	h.Sum(sum[:0])
	return sum
}

// checkToken says who made a service token, and remembers it.
func (c *credentials) checkToken(token string, now time.Time, seen *memory) (caller string, err error) {
	if len(token) > tokenLimit {
		return "", errServiceToken
	}
	head, rest, _ := strings.Cut(token, ".")
	body, sum, ok := strings.Cut(rest, ".")
	p, known := c.checkers[head]
	if !ok || !known {
		return "", errServiceToken
	}
	given, err := base64.RawURLEncoding.DecodeString(sum)
	want := mac(p.key, []byte(token[:len(head)+1+len(body)]))
	if err != nil || !hmac.Equal(given, want[:]) {
		return "", errServiceToken
	}
	text, err := base64.RawURLEncoding.DecodeString(body)
	if err != nil {
		return "", errServiceToken
	}
	var said struct {
		Issuer   string `json:"iss"`
		Audience string `json:"aud"`
		Issued   int64  `json:"iat"`
		Expires  int64  `json:"exp"`
		ID       string `json:"jti"`
	}
	var id [16]byte
	if err := json.Unmarshal(text, &said); err != nil || said.Issuer != identity(p.caller).String() || said.Audience != identity(c.component).String() {
		return "", errServiceToken
	}
	if n, err := hex.Decode(id[:], []byte(said.ID)[:min(len(said.ID), 2*len(id))]); err != nil || n != len(id) || len(said.ID) != 2*len(id) {
		return "", errServiceToken
	}
	from, until := time.Unix(said.Issued, 0).Add(-serviceTokenSkew), time.Unix(said.Expires, 0).Add(serviceTokenSkew)
	if now.Before(from) || !now.Before(until) || until.Sub(from) > serviceTokenSpan {
		return "", errServiceTime
	}
	if err := seen.first(id, now); err != nil {
		return "", err
	}
	return p.caller, nil
}

// memory holds the ids of tokens that were used, for as long as they could be
// used again: in two generations, of which the older is dropped.
type memory struct {
	mu     sync.Mutex
	since  time.Time
	recent map[[16]byte]struct{}
	older  map[[16]byte]struct{}
}

// first is nil the first time that an id is seen.
func (m *memory) first(id [16]byte, now time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.recent == nil || now.Sub(m.since) >= serviceTokenSpan {
		m.older, m.recent, m.since = m.recent, make(map[[16]byte]struct{}, len(m.recent)), now
	}
	if _, used := m.recent[id]; used {
		return errReplayed
	}
	if _, used := m.older[id]; used {
		return errReplayed
	}
	if len(m.recent) >= rememberedTokens {
		return errTooMany
	}
	m.recent[id] = struct{}{}
	return nil
}

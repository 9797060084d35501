package pki

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// court is an issuer and a verifier that reads its keys from a file.
type court struct {
	*Issuer
	*Verifier
	path string
}

func newCourt(t testing.TB) *court {
	t.Helper()
	issuer, err := NewIssuer()
	if err != nil {
		t.Fatal(err)
	}
	c := &court{Issuer: issuer, path: filepath.Join(t.TempDir(), "jwks.json")}
	c.publish(t)
	c.Verifier = NewVerifier(BearerConfig{Keys: c.path, Issuer: TokenIssuer, Audience: TokenAudience, Skew: 5 * time.Second})
	return c
}

func (c *court) publish(t testing.TB) {
	t.Helper()
	keys, err := c.KeySet()
	if err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(c.path, keys, 0o644); err != nil {
		t.Fatal(err)
	}
}

func (c *court) issue(t testing.TB, g Grant) string {
	t.Helper()
	token, err := c.Issue(g, noon)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// sign makes a token that no Issuer of ours would.
func sign(t testing.TB, alg jose.SignatureAlgorithm, key any, id string, c any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: id}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(signer).Claims(c).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestTokenSpeaksForItsSubject(t *testing.T) {
	c := newCourt(t)
	for range 2 { // verified, and then remembered
		got, err := c.Verify(t.Context(), c.issue(t, Grant{Subject: "u123", For: time.Hour, Roles: []string{RoleBatch}}), noon)
		if want := (Caller{Subject: "u123", Batch: true}); err != nil || got != want {
			t.Errorf("%+v, %v, want %+v", got, err, want)
		}
	}
	got, err := c.Verify(t.Context(), c.issue(t, Grant{Subject: "shop", For: time.Hour, Roles: []string{RoleStorefront}}), noon)
	if want := (Caller{Subject: "shop", Storefront: true}); err != nil || got != want {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
}

func TestTokenIsGoodForItsTimeOnly(t *testing.T) {
	c := newCourt(t)
	token := c.issue(t, Grant{Subject: "u123", For: time.Minute})
	for _, row := range []struct {
		name string
		at   time.Duration
		want error
	}{
		{"before its time", -6 * time.Second, ErrTokenEarly},
		{"before its time, by less than clocks may differ", -5 * time.Second, nil},
		{"in its time", 30 * time.Second, nil},
		{"after its time, by less than clocks may differ", 64 * time.Second, nil},
		{"after its time", 66 * time.Second, ErrTokenExpired},
	} {
		for _, v := range []*Verifier{c.Verifier, NewVerifier(c.cfg)} { // remembered, and for the first time
			if _, err := v.Verify(t.Context(), token, noon.Add(row.at)); !errors.Is(err, row.want) {
				t.Errorf("%s: %v, want %v", row.name, err, row.want)
			}
		}
	}
}

func TestForgedTokensAreRefused(t *testing.T) {
	c := newCourt(t)
	good := c.issue(t, Grant{Subject: "u123", For: time.Hour})
	parts := strings.Split(good, ".")
	id := c.Verifier.keys.keysOf(t)[0]
	_, mallory, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	says := func(change func(*claims)) claims {
		said := claims{Claims: jwt.Claims{
			Issuer: TokenIssuer, Subject: "u123", Audience: jwt.Audience{TokenAudience},
			Expiry: jwt.NewNumericDate(noon.Add(time.Hour)),
		}}
		if change != nil {
			change(&said)
		}
		return said
	}
	b64 := base64.RawURLEncoding.EncodeToString
	ours := c.signer
	byUs := func(change func(*claims)) string {
		token, err := jwt.Signed(ours).Claims(says(change)).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	public := c.Verifier.keys.keys[id]
	for _, row := range []struct {
		name, token string
		want        error
	}{
		{"no signature at all", b64([]byte(`{"alg":"none"}`)) + "." + parts[1] + ".", ErrTokenShape},
		{"none beside a signature", b64([]byte(`{"alg":"none","kid":"`+id+`"}`)) + "." + parts[1] + "." + parts[2], ErrTokenShape},
		{"the public key as a secret", sign(t, jose.HS256, []byte(public), id, says(nil)), ErrTokenShape},
		{"another algorithm", sign(t, jose.RS256, rsaKey, id, says(nil)), ErrTokenShape},
		{"another's key under our key's name", sign(t, jose.EdDSA, mallory, id, says(nil)), ErrTokenForged},
		{"another's key under a name of its own", sign(t, jose.EdDSA, mallory, "mallory", says(nil)), ErrTokenForged},
		{"a key without a name", sign(t, jose.EdDSA, mallory, "", says(nil)), ErrTokenForged},
		{"tampered claims", parts[0] + "." + b64([]byte(`{"sub":"u1","iss":"`+TokenIssuer+`","aud":["`+TokenAudience+`"],"exp":9999999999}`)) + "." + parts[2], ErrTokenForged},
		{"a tampered signature", parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2])), ErrTokenForged},
		{"half a token", parts[0] + "." + parts[1], ErrTokenShape},
		{"no token", "hello", ErrTokenShape},
		{"a token without end", strings.Repeat("x", 1<<20), ErrTokenShape},
		{"another issuer", byUs(func(c *claims) { c.Issuer = "https://mallory.example" }), ErrTokenForeign},
		{"no issuer", byUs(func(c *claims) { c.Issuer = "" }), ErrTokenForeign},
		{"another audience", byUs(func(c *claims) { c.Audience = jwt.Audience{"https://bank.example"} }), ErrTokenForeign},
		{"no audience", byUs(func(c *claims) { c.Audience = nil }), ErrTokenForeign},
		{"no end", byUs(func(c *claims) { c.Expiry = nil }), ErrTokenShape},
		{"nobody", byUs(func(c *claims) { c.Subject = "" }), ErrTokenShape},
		{"issued tomorrow", byUs(func(c *claims) { c.IssuedAt = jwt.NewNumericDate(noon.Add(time.Minute)) }), ErrTokenEarly},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got, err := c.Verify(t.Context(), row.token, noon); !errors.Is(err, row.want) {
				t.Errorf("%+v, %v, want %v", got, err, row.want)
			}
		})
	}
	if _, err := c.Verify(t.Context(), byUs(nil), noon); err != nil {
		t.Errorf("what the rows were made from is refused: %v", err)
	}
}

// keysOf fetches the keys and names them.
func (s *keySet) keysOf(t *testing.T) (ids []string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.look(t.Context(), noon)
	for id := range s.keys {
		ids = append(ids, id)
	}
	return ids
}

func TestKeysRotateWithoutARestart(t *testing.T) {
	c := newCourt(t)
	old := c.issue(t, Grant{Subject: "old", For: time.Hour})
	if _, err := c.Verify(t.Context(), old, noon); err != nil {
		t.Fatal(err)
	}
	if err := c.Rotate(); err != nil {
		t.Fatal(err)
	}
	c.publish(t)
	fresh := c.issue(t, Grant{Subject: "fresh", For: time.Hour})
	now := noon.Add(time.Millisecond)
	for _, token := range []string{fresh, old} {
		if _, err := c.Verify(t.Context(), token, now); err != nil {
			t.Errorf("after the rotation: %v", err)
		}
	}
	for range keysKept - 1 { // until the first key is withdrawn
		if err := c.Rotate(); err != nil {
			t.Fatal(err)
		}
	}
	c.publish(t)
	if _, err := c.Verify(t.Context(), old, now.Add(refreshAfter-time.Second)); err != nil {
		t.Errorf("before the keys are looked after: %v", err)
	}
	if _, err := c.Verify(t.Context(), old, now.Add(refreshAfter)); !errors.Is(err, ErrTokenForged) {
		t.Errorf("a token of a key that was withdrawn, remembered: %v, want %v", err, ErrTokenForged)
	}
	if _, err := c.Verify(t.Context(), fresh, now.Add(refreshAfter)); err != nil {
		t.Errorf("a token of a key that is still there: %v", err)
	}
}

func TestKeySetOverHTTPIsNotFlooded(t *testing.T) {
	c := newCourt(t)
	var asked atomic.Int32
	var away atomic.Bool
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		if away.Load() {
			http.Error(w, "away", http.StatusServiceUnavailable)
			return
		}
		keys, _ := c.KeySet()
		w.Write(keys)
	}))
	defer srv.Close()
	v := NewVerifier(BearerConfig{Keys: srv.URL, Issuer: TokenIssuer, Audience: TokenAudience})
	away.Store(true)
	token := c.issue(t, Grant{Subject: "u1", For: time.Hour})
	if _, err := v.Verify(t.Context(), token, noon); !errors.Is(err, ErrNoKeys) {
		t.Errorf("%v, want %v: nobody is to blame for keys that are away", err, ErrNoKeys)
	}
	away.Store(false)
	if _, err := v.Verify(t.Context(), token, noon.Add(refreshApart)); err != nil {
		t.Error(err)
	}
	asked.Store(0)
	_, mallory, _ := ed25519.GenerateKey(rand.Reader)
	for i := range 1000 {
		forged := sign(t, jose.EdDSA, mallory, "made-up", claims{Claims: jwt.Claims{ID: string(rune('a' + i%26))}})
		if _, err := v.Verify(t.Context(), forged, noon.Add(refreshApart+time.Duration(i)*time.Millisecond)); err == nil {
			t.Fatal("a forged token passed")
		}
	}
	if n := asked.Load(); n == 0 || n > refreshBurst+1 {
		t.Errorf("1,000 forged tokens within a second asked for the keys %d times, want at most %d", n, refreshBurst+1)
	}
	away.Store(true)
	if _, err := v.Verify(t.Context(), token, noon.Add(refreshAfter+time.Minute)); err != nil {
		t.Errorf("keys that are known are forgotten when their source is away: %v", err)
	}
}

func TestMemoryOfTokensIsBounded(t *testing.T) {
	c := newCourt(t)
	var hash [32]byte
	for i := range 2 * knownTokens {
		hash[0], hash[1], hash[2] = byte(i), byte(i>>8), byte(i>>16)
		c.remember(hash, verified{}, 0)
	}
	if n := len(c.recent) + len(c.older); n > knownTokens {
		t.Errorf("%d tokens are remembered, want at most %d", n, knownTokens)
	}
}

func TestKeySetHoldsNoSecret(t *testing.T) {
	c := newCourt(t)
	text, err := c.KeySet()
	if err != nil {
		t.Fatal(err)
	}
	var set struct{ Keys []map[string]any }
	if err := json.Unmarshal(text, &set); err != nil || len(set.Keys) != 1 {
		t.Fatalf("%s: %v", text, err)
	}
	if _, has := set.Keys[0]["d"]; has || set.Keys[0]["alg"] != "EdDSA" {
		t.Errorf("%s", text)
	}
}

func FuzzVerify(f *testing.F) {
	c := newCourt(f)
	good := c.issue(f, Grant{Subject: "u1", For: time.Hour})
	f.Add(good)
	f.Add("e30.e30.")
	f.Add("..")
	f.Fuzz(func(t *testing.T, token string) {
		if _, err := c.Verify(t.Context(), token, noon); err == nil && token != good {
			t.Errorf("%q passed", token)
		}
	})
}

func FuzzParseKeySet(f *testing.F) {
	c := newCourt(f)
	text, _ := c.KeySet()
	f.Add(text)
	f.Add([]byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"AA"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := parseKeySet(text)
		if err == nil && len(keys) == 0 {
			t.Error("no keys and no error")
		}
		for id, key := range keys {
			if id == "" || len(key) != ed25519.PublicKeySize {
				t.Errorf("key %q of %d bytes", id, len(key))
			}
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	c := newCourt(b)
	token := c.issue(b, Grant{Subject: "user-000001", For: time.Hour})
	b.Run("known", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.Verify(b.Context(), token, noon); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("new", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := c.check(b.Context(), token, noon); err != nil {
				b.Fatal(err)
			}
		}
	})
}

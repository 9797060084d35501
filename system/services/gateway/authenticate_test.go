package gateway

import (
	"bufio"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ordbench/ordbench/system/endpoint"
	"github.com/ordbench/ordbench/system/pki"
)

// guarded is a gateway that asks for tokens, with their issuer.
type guarded struct {
	*edge
	issuer *pki.Issuer
	audit  string
	seen   chan http.Header // what the service was sent
}

func guard(t *testing.T, change func(*Config, *limits)) *guarded {
	t.Helper()
	issuer, err := pki.NewIssuer()
	if err != nil {
		t.Fatal(err)
	}
	keys, err := issuer.KeySet()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "jwks.json")
	if err := pki.WriteFile(path, keys, 0o644); err != nil {
		t.Fatal(err)
	}
	g := &guarded{issuer: issuer, audit: filepath.Join(t.TempDir(), "audit.jsonl"), seen: make(chan http.Header, 100)}
	g.edge = start(t, []string{service(t, func(w http.ResponseWriter, r *http.Request) {
		g.seen <- r.Header
		accept(w, r)
	})}, func(c *Config, l *limits) {
		c.Bearer = pki.BearerConfig{Keys: path, Issuer: pki.TokenIssuer, Audience: pki.TokenAudience, Skew: time.Second}
		c.Audit = g.audit
		if change != nil {
			change(c, l)
		}
	})
	return g
}

func (g *guarded) token(t *testing.T, user string, at time.Time, roles ...string) string {
	t.Helper()
	token, err := g.issuer.Issue(pki.Grant{Subject: user, Roles: roles, For: time.Minute}, at)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// recorded are the lines of the audit log.
func (g *guarded) recorded(t *testing.T) (lines []map[string]any) {
	t.Helper()
	f, err := os.Open(g.audit)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		var line map[string]any
		if err := json.Unmarshal(s.Bytes(), &line); err != nil {
			t.Fatalf("%s: %v", s.Text(), err)
		}
		lines = append(lines, line)
	}
	return lines
}

func TestRequestSpeaksForTheSubjectOfItsToken(t *testing.T) {
	g := guard(t, nil)
	for _, row := range []struct {
		name, token, subject string
	}{
		{"a customer speaks for himself", g.token(t, "u1", time.Now()), "u1"},
		{"the shop speaks for anybody", g.token(t, "shop", time.Now(), pki.RoleStorefront), ""},
	} {
		got := post(t, g.edge, order, "Authorization", "bearer "+row.token, endpoint.SubjectField, "somebody-else")
		if got.status != 202 {
			t.Fatalf("%s: %+v", row.name, got)
		}
		h := <-g.seen
		if h.Get(endpoint.SubjectField) != row.subject || len(h[endpoint.SubjectField]) > 1 {
			t.Errorf("%s: %s: %q, want %q", row.name, endpoint.SubjectField, h[endpoint.SubjectField], row.subject)
		}
		if h.Get("Authorization") != "" {
			t.Errorf("%s: the service was shown the token", row.name)
		}
	}
}

func TestWithoutAGoodTokenNothingIsForwarded(t *testing.T) {
	g := guard(t, nil)
	good := g.token(t, "u1", time.Now())
	for _, row := range []struct {
		name, reason string
		fields       []string
	}{
		{"no token", "", nil},
		{"another scheme", "", []string{"Authorization", "Basic dTpw"}},
		{"an empty token", "", []string{"Authorization", "Bearer "}},
		{"two tokens", "", []string{"Authorization", "Bearer " + good, "Authorization", "Bearer " + good}},
		{"an expired token", "the token has expired", []string{"Authorization", "Bearer " + g.token(t, "u1", time.Now().Add(-time.Hour))}},
		{"a token of tomorrow", "the token is not valid yet", []string{"Authorization", "Bearer " + g.token(t, "u1", time.Now().Add(time.Hour))}},
		{"nonsense", "the token is malformed or not signed with EdDSA", []string{"Authorization", "Bearer nonsense"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := post(t, g.edge, order, row.fields...)
			wantProblem(t, got, 401, "token")
			want := `Bearer realm="ordbench"`
			if row.reason != "" {
				want += `, error="invalid_token", error_description="` + row.reason + `"`
			}
			if is := got.header.Get("WWW-Authenticate"); is != want {
				t.Errorf("WWW-Authenticate: %s, want %s", is, want)
			}
			lines := g.recorded(t)
			last := lines[len(lines)-1]
			if last["msg"] != "refused" || last["reason"] != "token" || last["status"] != 401.0 || last["client"] != "127.0.0.1" || last["path"] != "/orders" {
				t.Errorf("on record: %v", last)
			}
		})
	}
	if len(g.seen) > 0 {
		t.Errorf("the service was asked %d times", len(g.seen))
	}
	text, err := os.ReadFile(g.audit)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text)+g.log.String(), good[:20]) {
		t.Error("a token is in a log")
	}
}

func TestKeysThatAreAwayAreNotTheFaultOfTheClient(t *testing.T) {
	g := guard(t, func(c *Config, _ *limits) { c.Bearer.Keys = filepath.Join(t.TempDir(), "nowhere") })
	wantProblem(t, post(t, g.edge, order, "Authorization", "Bearer "+g.token(t, "u1", time.Now())), 503, "keys")
}

package pki

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ordbench/ordbench/system/endpoint"
)

// realm is a stack's authority and a directory for credentials.
type realm struct {
	*Authority
	dir string
}

func newRealm(t testing.TB) *realm {
	t.Helper()
	a, err := NewAuthority(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return &realm{a, t.TempDir()}
}

func (r *realm) certify(t testing.TB, component string, epoch int64, life time.Duration) string {
	t.Helper()
	text, err := r.Certify(component, component+"-0", epoch, time.Now(), life)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(r.dir, component+".pem")
	if err := WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (r *realm) identity(t testing.TB, component string) *Identity {
	t.Helper()
	id, err := OpenIdentity(r.certify(t, component, 1, time.Hour), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// serve runs a component behind a guard.
func (r *realm) serve(t *testing.T, component string) (addr, audit string) {
	t.Helper()
	audit = filepath.Join(t.TempDir(), "audit.jsonl")
	g, err := OpenGuard(GuardConfig{Identity: r.certify(t, component, 1, time.Hour), Audit: audit}, component, component+"-0", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	l, err := endpoint.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get(TokenField) != "" {
			t.Error("the token went on to the service")
		}
		io.WriteString(w, "at your service")
	})
	go func() { ended <- g.Serve(ctx, l, h, 5*time.Second) }()
	t.Cleanup(func() {
		stop()
		if err := errors.Join(<-ended, g.Close()); err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String(), audit
}

// call asks a component as id, with a token.
func call(t *testing.T, id *Identity, component, addr, token string) (int, string, error) {
	t.Helper()
	client := &http.Client{
		Transport: &http.Transport{DialContext: id.Dialer(component, (&net.Dialer{}).DialContext), DisableKeepAlives: true},
		Timeout:   20 * time.Second,
	}
	req, err := http.NewRequest("GET", "http://"+addr+"/orders/1", nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set(TokenField, token)
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return res.StatusCode, string(body), err
}

// recorded waits until the audit log has text.
func recorded(t *testing.T, audit, text string) {
	t.Helper()
	var log []byte
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		log, _ = os.ReadFile(audit)
		if bytes.Contains(log, []byte(text)) {
			return
		}
	}
	t.Errorf("not on record: %s\n%s", text, log)
}

func TestWhoMayCallIsLetIn(t *testing.T) {
	r := newRealm(t)
	gateway := r.identity(t, "gateway")
	addr, _ := r.serve(t, "order")
	for range 2 {
		status, body, err := call(t, gateway, "order", addr, gateway.Token("order", time.Now()))
		if err != nil || status != 200 || body != "at your service" {
			t.Fatalf("%d %s, %v", status, body, err)
		}
	}
}

func TestWhoMayNotCallIsTurnedAway(t *testing.T) {
	r, other := newRealm(t), newRealm(t)
	gateway, payment, order := r.identity(t, "gateway"), r.identity(t, "payment"), r.identity(t, "order")
	addr, audit := r.serve(t, "order")
	now := time.Now()
	used := gateway.Token("order", now)
	if status, _, err := call(t, gateway, "order", addr, used); status != 200 {
		t.Fatal(status, err)
	}
	forged := other.identity(t, "gateway").Token("order", now)
	good := gateway.Token("order", now)
	for _, row := range []struct {
		name   string
		caller *Identity
		token  string
		status int
		record string
	}{
		{"a replayed token", gateway, used, 401, "used before"},
		{"no token", gateway, "", 401, "missing, forged"},
		{"a token of another authority", gateway, forged, 401, "missing, forged"},
		{"a token for another service", gateway, gateway.Token("inventory", now), 401, "missing, forged"},
		{"an old token", gateway, gateway.Token("order", now.Add(-time.Minute)), 401, "not of this moment"},
		{"a token of tomorrow", gateway, gateway.Token("order", now.Add(time.Minute)), 401, "not of this moment"},
		{"a tampered token", gateway, good[:len(good)-4] + "AAAA", 401, "missing, forged"},
		{"a token without a signature", gateway, good[:strings.LastIndex(good, ".")+1], 401, "missing, forged"},
		{"a caller who is not on the list, with a stolen token", payment, good, 403, "payment may not call order"},
		{"the service itself", order, good, 403, "order may not call order"},
	} {
		t.Run(row.name, func(t *testing.T) {
			status, body, err := call(t, row.caller, "order", addr, row.token)
			if err != nil || status != row.status || !strings.Contains(body, "urn:ordbench:problem:service") {
				t.Errorf("%d %s, %v, want %d", status, body, err, row.status)
			}
			recorded(t, audit, row.record)
		})
	}
	if status, _, err := call(t, gateway, "order", addr, good); status != 200 {
		t.Errorf("the token that the rows were made from: %d, %v", status, err)
	}
	if log, _ := os.ReadFile(audit); bytes.Contains(log, []byte(used)) {
		t.Error("a token is on record")
	}
}

func TestWithoutACertificateNobodyGetsToSpeak(t *testing.T) {
	r := newRealm(t)
	addr, audit := r.serve(t, "order")
	t.Run("cleartext", func(t *testing.T) {
		status, body, err := call(t, nil, "order", addr, "")
		if err == nil && strings.Contains(body, "at your service") {
			t.Errorf("%d %s", status, body)
		}
		recorded(t, audit, `"reason":"handshake"`)
	})
	t.Run("TLS without a certificate", func(t *testing.T) {
		c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
		if err == nil {
			defer c.Close()
			io.WriteString(c, "GET /orders/1 HTTP/1.0\r\n\r\n")
			if answer, err := io.ReadAll(c); err == nil || len(answer) > 0 {
				t.Errorf("answered %q", answer)
			}
		}
		recorded(t, audit, "certificate")
	})
	t.Run("a certificate of another authority", func(t *testing.T) {
		stranger := newRealm(t).identity(t, "gateway")
		if status, _, err := call(t, stranger, "order", addr, ""); err == nil {
			t.Errorf("answered %d", status)
		}
	})
}

func TestCallerFindsOutWhoAnswers(t *testing.T) {
	r := newRealm(t)
	addr, _ := r.serve(t, "payment")
	gateway := r.identity(t, "gateway")
	if status, _, err := call(t, gateway, "order", addr, gateway.Token("order", time.Now())); err == nil {
		t.Errorf("payment passed for order: %d", status)
	}
}

func TestCredentialsAreRenewedWithoutARestart(t *testing.T) {
	r := newRealm(t)
	path := r.certify(t, "gateway", 1, time.Hour)
	id, err := OpenIdentity(path, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	addr, _ := r.serve(t, "order") // stays at epoch 1
	first := id.now().leaf.Leaf.SerialNumber
	r.certify(t, "gateway", 2, time.Hour)
	id.looked.Store(0)
	if second := id.now().leaf.Leaf.SerialNumber; second.Cmp(first) == 0 {
		t.Error("the certificate was not renewed")
	}
	if status, body, err := call(t, id, "order", addr, id.Token("order", time.Now())); status != 200 {
		t.Errorf("with credentials one epoch ahead: %d %s, %v", status, body, err)
	}
	if err := os.WriteFile(path, []byte("half a fi"), 0o600); err != nil {
		t.Fatal(err)
	}
	id.looked.Store(0)
	if id.now().component != "gateway" {
		t.Error("a broken file took the credentials away")
	}
	r.certify(t, "gateway", 4, time.Hour)
	id.looked.Store(0)
	if status, _, _ := call(t, id, "order", addr, id.Token("order", time.Now())); status != 401 {
		t.Errorf("with a key that the service does not have yet: %d, want 401", status)
	}
}

// A replica that nobody called for long gets many calls at once.
func TestNobodyGetsTheCredentialsOfLongAgo(t *testing.T) {
	r := newRealm(t)
	path := r.certify(t, "order", 1, time.Hour)
	id, err := OpenIdentity(path, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	first := id.now().leaf.Leaf.SerialNumber
	r.certify(t, "order", 9, time.Hour)
	id.looked.Store(0)
	var (
		calls sync.WaitGroup
		gate  = make(chan struct{})
		old   atomic.Int64
	)
	for range 50 {
		calls.Go(func() {
			<-gate
			if id.now().leaf.Leaf.SerialNumber.Cmp(first) == 0 {
				old.Add(1)
			}
		})
	}
	close(gate)
	calls.Wait()
	if n := old.Load(); n > 0 {
		t.Errorf("%d of 50 calls were judged by credentials eight epochs old", n)
	}
}

func TestAnExpiredCertificateOpensNoConnection(t *testing.T) {
	r := newRealm(t)
	addr, _ := r.serve(t, "order")
	path := r.certify(t, "gateway", 1, -time.Second)
	id, err := OpenIdentity(path, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if status, _, err := call(t, id, "order", addr, id.Token("order", time.Now())); err == nil {
		t.Errorf("answered %d", status)
	}
}

func TestUsedTokensAreRememberedForAsLongAsTheyCouldBeUsed(t *testing.T) {
	var m memory
	id := [16]byte{1}
	if err := m.first(id, noon); err != nil {
		t.Fatal(err)
	}
	for at := time.Duration(0); at < serviceTokenSpan; at += time.Second {
		var another [16]byte
		another[1] = byte(at / time.Second)
		_ = m.first(another, noon.Add(at))
		if err := m.first(id, noon.Add(at)); !errors.Is(err, errReplayed) {
			t.Fatalf("after %s: %v", at, err)
		}
	}
	for i := range 4 {
		_ = m.first([16]byte{9, byte(i)}, noon.Add(time.Duration(i+1)*serviceTokenSpan))
	}
	if len(m.older)+len(m.recent) > 2 {
		t.Errorf("%d and %d are still remembered", len(m.older), len(m.recent))
	}
}

func FuzzCheckToken(f *testing.F) {
	r := newRealm(f)
	gateway, order := r.identity(f, "gateway"), r.identity(f, "order")
	good := gateway.Token("order", noon)
	f.Add(good)
	f.Add("..")
	f.Add(strings.Split(good, ".")[0] + ".e30.")
	f.Fuzz(func(t *testing.T, token string) {
		if _, err := order.now().checkToken(token, noon, &memory{}); err == nil && token != good {
			// Base64 leaves two bits of the last letter unread.
			if token[:len(token)-1] != good[:len(good)-1] {
				t.Errorf("%q passed", token)
			}
		}
	})
}

func FuzzParseCredentials(f *testing.F) {
	r := newRealm(f)
	text, err := r.Certify("order", "order-0", 1, noon, time.Hour)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add(text[:len(text)/2])
	f.Fuzz(func(t *testing.T, text []byte) {
		if c, err := parseCredentials(text); err == nil && (c.component == "" || c.leaf.Leaf == nil) {
			t.Error("credentials of nobody")
		}
	})
}

func BenchmarkServiceToken(b *testing.B) {
	r := newRealm(b)
	gateway, order := r.identity(b, "gateway"), r.identity(b, "order")
	b.Run("sign", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			gateway.Token("order", noon)
		}
	})
	b.Run("check", func(b *testing.B) {
		b.ReportAllocs()
		token := gateway.Token("order", noon)
		for b.Loop() {
			if _, err := order.now().checkToken(token, noon, &memory{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

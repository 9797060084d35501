package system_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"

	"github.com/ordbench/ordbench/system"
	"github.com/ordbench/ordbench/system/pki"
)

// fortress is a stack with everything that keeps strangers out, and a limit
// of limit requests a minute for each of them.
func fortress(t *testing.T, limit int) *system.Stack {
	return boot(t, func(c *system.Config) {
		c.Patterns.Auth = true
		c.Gateway.RateLimit = system.RateLimitConfig{Requests: limit, Per: time.Minute}
		c.CertificateLife = 3 * time.Second // renewed each second: the whole test goes through rotations
	})
}

func token(t *testing.T, stack *system.Stack, g pki.Grant) string {
	t.Helper()
	if g.For == 0 {
		g.For = time.Hour
	}
	token, err := stack.Token(g)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

const anOrder = `{"user_id":"u123","total":99.95}`

// send asks the gateway from an address of this machine; "" is any.
func send(t *testing.T, stack *system.Stack, from, method, path, body string, header ...string) (*http.Request, *http.Response, string) {
	t.Helper()
	dialer := net.Dialer{Timeout: 10 * time.Second}
	if from != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	client := http.Client{Transport: &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}, Timeout: 30 * time.Second}
	req, err := http.NewRequest(method, stack.URL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	res.Body = io.NopCloser(bytes.NewReader(answer))
	return req, res, string(answer)
}

// onRecord waits until the audit log has a line with all of texts.
func onRecord(t *testing.T, stack *system.Stack, texts ...string) {
	t.Helper()
	var log []byte
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		log, _ = os.ReadFile(system.AuditPath(stack.Config().LogDir))
	lines:
		for line := range strings.Lines(string(log)) {
			for _, text := range texts {
				if !strings.Contains(line, text) {
					continue lines
				}
			}
			return
		}
	}
	t.Errorf("not on record: %q\n%s", texts, log)
}

func TestStrangersAreTurnedAway(t *testing.T) {
	stack := fortress(t, 1_000_000)
	good := token(t, stack, pki.Grant{Subject: "u123"})
	bearer := func(token string) []string { return []string{"Authorization", "Bearer " + token} }
	parts := strings.Split(good, ".")
	b64 := base64.RawURLEncoding.EncodeToString
	foreign, err := pki.NewIssuer()
	if err != nil {
		t.Fatal(err)
	}
	forged, err := foreign.Issue(pki.Grant{Subject: "u123", For: time.Hour}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := token(t, stack, pki.Grant{Subject: "u123", Audience: "https://bank.example"})
	expired := token(t, stack, pki.Grant{Subject: "u123", For: time.Nanosecond})
	for _, row := range []struct {
		name, method, path, body string
		header                   []string
		status                   int
		record                   []string // what the audit log says
	}{
		{"a good request", "POST", "/orders", anOrder, bearer(good), 202, nil},
		{"no token", "POST", "/orders", anOrder, nil, 401, []string{`"reason":"token"`, "is needed"}},
		{"a token of another issuer", "POST", "/orders", anOrder, bearer(forged), 401, []string{"not signed by a key"}},
		{"a tampered token", "POST", "/orders", anOrder, bearer(parts[0] + "." + b64([]byte(`{"sub":"root"}`)) + "." + parts[2]), 401, []string{"not signed by a key"}},
		{"none", "POST", "/orders", anOrder, bearer(b64([]byte(`{"alg":"none"}`)) + "." + parts[1] + "."), 401, []string{"not signed with EdDSA"}},
		{"a token for another audience", "POST", "/orders", anOrder, bearer(elsewhere), 401, []string{`"reason":"token"`, "audience"}},
		{"a token in the query", "GET", "/orders/1?access_token=" + good, "", nil, 401, nil},
		{"a scheme that is not Bearer", "POST", "/orders", anOrder, []string{"Authorization", "Basic " + good}, 401, nil},
		{"a cancellation without a token", "POST", "/orders/1/cancel", "", nil, 401, nil},
		{"an order for another", "POST", "/orders", `{"user_id":"u1","total":1}`, bearer(good), 403, []string{`"reason":"forbidden"`, `"subject":"u123"`}},
		{"a forged subject", "POST", "/orders", `{"user_id":"u1","total":1}`, append(bearer(good), "X-Subject", "u1"), 403, nil},
		{"a body without end", "POST", "/orders", strings.Repeat("x", 1<<20), bearer(good), 413, []string{`"status":413`}},
		{"SQL for a user", "POST", "/orders", `{"user_id":"'; DROP TABLE orders; --","total":1}`, bearer(good), 403, nil},
		{"SQL for a total", "POST", "/orders", `{"user_id":"u123","total":"1; DROP TABLE orders"}`, bearer(good), 400, nil},
		{"SQL for a quantity", "POST", "/orders", `{"user_id":"u123","total":1,"items":[{"sku":"sku-0001","quantity":"1 OR 1=1"}]}`, bearer(good), 400, nil},
		{"SQL for a field", "POST", "/orders", `{"user_id":"u123","total":1,"' OR 1=1":1}`, bearer(good), 400, nil},
		{"SQL for an order", "GET", "/orders/'%20OR%20'1'='1", "", bearer(good), 404, nil},
		{"SQL for an article", "GET", "/stock/'%20UNION%20SELECT%20*%20FROM%20movements--", "", bearer(good), 404, nil},
		{"SQL for an order to cancel", "POST", "/orders/'%20OR%20'1'='1/cancel", "", bearer(good), 404, nil},
		{"SQL for whose orders to list", "GET", "/orders?user_id='%20OR%20'1'='1", "", bearer(good), 403, nil},
		{"SQL for a cursor", "GET", "/orders?user_id=u123&cursor='%20OR%20'1'='1", "", bearer(good), 400, nil},
		{"SQL for a limit", "GET", "/orders?user_id=u123&limit=1%3BDROP%20TABLE%20orders", "", bearer(good), 400, nil},
		{"SQL for a priority and a timeout", "GET", "/orders/1", "", append(bearer(good), "Priority", "u='; DROP TABLE orders; --", "X-Timeout-Ms", "1; DROP TABLE orders"), 404, nil},
		// What names a thing may have any name: it is never part of a statement.
		{"SQL for a key", "POST", "/orders", anOrder, append(bearer(good), "Idempotency-Key", "'); DELETE FROM orders; --"), 202, nil},
		{"SQL for an article to order", "POST", "/orders", `{"user_id":"u123","total":1,"items":[{"sku":"'; DELETE FROM stock; --","quantity":1}]}`, bearer(good), 202, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, res, body := send(t, stack, "", row.method, row.path, row.body, row.header...)
			if res.StatusCode != row.status {
				t.Errorf("%d %s, want %d", res.StatusCode, body, row.status)
			}
			if res.StatusCode >= 400 && res.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s: %s", res.Header.Get("Content-Type"), body)
			}
			if row.record != nil {
				onRecord(t, stack, row.record...)
			}
		})
	}
	t.Run("an expired token", func(t *testing.T) {
		// It is good for as long as clocks may differ.
		for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
			if _, res, _ := send(t, stack, "", "POST", "/orders", anOrder, bearer(expired)...); res.StatusCode == 401 {
				onRecord(t, stack, "has expired")
				return
			}
		}
		t.Error("still believed after a minute")
	})
	t.Run("a flood of headers", func(t *testing.T) {
		var fields strings.Builder
		for i := range 200 {
			fmt.Fprintf(&fields, "X-%d: 1\r\n", i)
		}
		if status := talk(t, stack, "GET /orders/1 HTTP/1.1\r\nHost: x\r\n"+fields.String()+"\r\n"); status != 431 {
			t.Errorf("many fields: %d, want 431", status)
		}
		onRecord(t, stack, `"reason":"headers"`)
		if status := talk(t, stack, "GET /orders/1 HTTP/1.1\r\nHost: x\r\nX-Flood: "+strings.Repeat("x", 1<<20)+"\r\n\r\n"); status != 431 {
			t.Errorf("a long field: %d, want 431", status)
		}
		onRecord(t, stack, `"reason":"protocol"`, "431")
	})
	t.Run("a slow client", func(t *testing.T) {
		began := time.Now()
		if status := talk(t, stack, "POST /orders HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+good+"\r\nContent-Length: 30\r\n\r\n{"); status != 408 {
			t.Errorf("%d after %s, want 408", status, time.Since(began))
		}
		onRecord(t, stack, `"reason":"slow"`, "body")
		if status := talk(t, stack, "POST /orders HTTP/1.1\r\nHost: x\r\nX-Slow: "); status != 408 {
			t.Errorf("in the header: %d, want 408", status)
		}
		onRecord(t, stack, `"reason":"slow"`, "header")
	})
	t.Run("a direct call to an internal port", func(t *testing.T) {
		for _, name := range []string{"order-0", "inventory-0", "payment-0", "notification-0"} {
			addr := replica(t, stack, name).Addr
			res, err := http.Get("http://" + addr + "/orders/1")
			if err == nil {
				res.Body.Close()
				if res.StatusCode != 400 { // "client sent an HTTP request to an HTTPS server"
					t.Errorf("%s in cleartext: %s", name, res.Status)
				}
			}
			c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
			if err == nil {
				fmt.Fprint(c, "GET /orders/1 HTTP/1.0\r\n\r\n")
				if answer, err := io.ReadAll(c); err == nil || len(answer) > 0 {
					t.Errorf("%s without a certificate: %q", name, answer)
				}
				c.Close()
			}
			onRecord(t, stack, `"replica":"`+name+`"`, `"reason":"handshake"`, "certificate")
		}
	})
	t.Run("a replayed service token", func(t *testing.T) {
		// The gateway's own credentials, as a thief of its file would have them.
		thief, err := pki.OpenIdentity(system.IdentityPath(stack.Config().Dir, "gateway-0"), nil)
		if err != nil {
			t.Fatal(err)
		}
		client := http.Client{Transport: &http.Transport{DialContext: thief.Dialer("order", (&net.Dialer{}).DialContext)}}
		defer client.CloseIdleConnections()
		stolen := thief.Token("order", time.Now())
		for i, want := range []int{404, 401} {
			req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+replica(t, stack, "order-0").Addr+"/orders/1", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set(pki.TokenField, stolen)
			res, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != want {
				t.Errorf("use %d of the token: %s, want %d", i+1, res.Status, want)
			}
		}
		onRecord(t, stack, `"replica":"order-0"`, "used before")
	})
	// And it still works, with certificates that are not those of the boot.
	if _, res, body := send(t, stack, "", "POST", "/orders", anOrder, bearer(good)...); res.StatusCode != 202 {
		t.Errorf("after all that: %d %s", res.StatusCode, body)
	}
	drain(t, stack)
	for name, status := range map[string]system.State{"gateway-0": system.Ready, "order-0": system.Ready, "inventory-0": system.Ready} {
		if r := replica(t, stack, name); r.State != status || r.Restarts != 0 {
			t.Errorf("%s: %+v", name, r)
		}
	}
	noSecrets(t, stack, good, expired)
}

// talk sends raw bytes and returns the status of the answer.
func talk(t *testing.T, stack *system.Stack, raw string) int {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(stack.URL(), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	go func() { _, _ = io.WriteString(c, raw) }() // the answer may come before all is written
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	return res.StatusCode
}

// noSecrets looks through arguments and logs.
func noSecrets(t *testing.T, stack *system.Stack, secrets ...string) {
	t.Helper()
	secrets = append(secrets, "PRIVATE KEY", "SERVICE TOKEN KEY", "eyJ") // a JSON object in base64: the head of every token
	search := func(where string, text []byte) {
		for _, secret := range secrets {
			if bytes.Contains(text, []byte(secret)) {
				t.Errorf("%s holds a secret: %.20s...", where, secret)
			}
		}
	}
	for _, line := range processesOf(t, stack.Config().Dir) {
		search("a command line", []byte(line))
	}
	logs, err := filepath.Glob(filepath.Join(stack.Config().LogDir, "*"))
	if err != nil || len(logs) < 5 {
		t.Fatalf("%d logs, %v", len(logs), err)
	}
	for _, log := range logs {
		text, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		search(log, text)
	}
}

func TestNobodyGetsAFreshShareByAForgedAddress(t *testing.T) {
	stack := fortress(t, 3)
	good := token(t, stack, pki.Grant{Subject: "u123"})
	ask := func(from string, i int) int {
		_, res, _ := send(t, stack, from, "GET", "/orders/1", "", "Authorization", "Bearer "+good, "X-Forwarded-For", fmt.Sprintf("203.0.113.%d", i))
		return res.StatusCode
	}
	for i := range 6 {
		want := 404
		if i >= 3 {
			want = 429
		}
		if status := ask("127.0.0.2", i); status != want {
			t.Errorf("request %d of a stranger: %d, want %d", i+1, status, want)
		}
	}
	onRecord(t, stack, `"reason":"rate-limit"`, `"client":"127.0.0.2"`)
	for i := range 6 {
		if status := ask("127.0.0.1", i); status != 404 {
			t.Errorf("client %d behind a trusted proxy: %d, want 404", i+1, status)
		}
	}
}

func TestAnswersAreAsTheDocumentSays(t *testing.T) {
	stack := fortress(t, 40)
	_, res, text := send(t, stack, "", "GET", "/openapi.json", "")
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "application/json" {
		t.Fatal(res.Status, res.Header)
	}
	document, err := libopenapi.NewDocument([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	check, errs := validator.NewValidator(document)
	if errs != nil {
		t.Fatal(errs)
	}
	if ok, errs := check.ValidateDocument(); !ok {
		for _, err := range errs {
			t.Error(err)
		}
	}
	bearer := []string{"Authorization", "Bearer " + token(t, stack, pki.Grant{Subject: "u123"})}
	_, placed, body := send(t, stack, "", "POST", "/orders", anOrder, append(bearer, "Idempotency-Key", "k1")...)
	if placed.StatusCode != 202 {
		t.Fatal(body)
	}
	seen := map[int]bool{}
	holds := func(method, path, body string, header ...string) {
		t.Helper()
		req, res, answer := send(t, stack, "", method, path, body, header...)
		seen[res.StatusCode] = true
		req.Body = io.NopCloser(strings.NewReader(body))
		if ok, errs := check.ValidateHttpResponse(req, res); !ok {
			for _, err := range errs {
				t.Errorf("%s %s: %d %s: %s: %s", method, path, res.StatusCode, answer, err.Message, err.Reason)
			}
		}
	}
	holds("POST", "/orders", anOrder, bearer...)
	holds("POST", "/orders", anOrder, append(bearer, "Idempotency-Key", "k1")...)
	holds("POST", "/orders", `{"user_id":"u123","total":1}`, append(bearer, "Idempotency-Key", "k1")...)
	holds("POST", "/orders", `{"user_id":"u123","items":[]}`, bearer...)
	holds("POST", "/orders", `{"user_id":"u1","total":1}`, bearer...)
	holds("POST", "/orders", strings.Repeat("x", 1<<17), bearer...)
	holds("POST", "/orders", anOrder)
	holds("GET", placed.Header.Get("Location"), "", bearer...)
	holds("GET", "/orders/nothing", "", bearer...)
	holds("POST", placed.Header.Get("Location")+"/cancel", "", bearer...)
	holds("POST", placed.Header.Get("Location")+"/cancel", "", bearer...)
	holds("POST", placed.Header.Get("Location")+"/cancel", "")
	holds("POST", "/orders/nothing/cancel", "", bearer...)
	holds("GET", placed.Header.Get("Location"), "", bearer...)
	holds("GET", "/stock/sku-0001", "", bearer...)
	holds("GET", "/stock/nothing", "", bearer...)
	for range 60 {
		holds("GET", "/stock/sku-0001", "", bearer...)
		if seen[429] {
			break
		}
	}
	for _, status := range []int{200, 202, 400, 401, 403, 404, 413, 422, 429} {
		if !seen[status] {
			t.Errorf("no answer was %d", status)
		}
	}
	// The check itself: what the document does not say must not pass.
	req, strange, _ := send(t, stack, "", "GET", "/openapi.json", "")
	req.URL.Path = placed.Header.Get("Location")
	strange.Body = io.NopCloser(strings.NewReader(`{"order_id":7}`))
	if ok, _ := check.ValidateHttpResponse(req, strange); ok {
		t.Error("an answer that is not an order passes for one")
	}
}

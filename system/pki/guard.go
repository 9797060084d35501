package pki

import (
	"context"
	"crypto/tls"
	"errors"
	"log"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/ordbench/ordbench/system/endpoint"
	"github.com/ordbench/ordbench/system/telemetry"
)

// GuardConfig says what a service wants to know of its callers.
type GuardConfig struct {
	Identity string `json:"identity"` // file with the credentials; "": nobody is asked, and anybody may call
	Audit    string `json:"audit"`    // file that refusals are appended to; "": none
}

// Guard stands before the API of a service: it lets in who has a certificate
// of the same authority, is on the list of those who may call, and shows a
// service token that was not used before. A nil Guard lets everybody in.
type Guard struct {
	identity *Identity
	audit    *telemetry.Audit
	seen     memory
}

// OpenGuard makes the guard of one replica; close it after its last request.
func OpenGuard(cfg GuardConfig, component, replica string, log *slog.Logger) (*Guard, error) {
	identity, err := OpenIdentity(cfg.Identity, log)
	if err != nil || identity == nil {
		return nil, err
	}
	audit, err := telemetry.OpenAudit(cfg.Audit, component, replica)
	if err != nil {
		return nil, err
	}
	return &Guard{identity: identity, audit: audit}, nil
}

// Identity is who the service is when it calls others itself.
func (g *Guard) Identity() *Identity {
	if g == nil {
		return nil
	}
	return g.identity
}

// Close closes the audit log.
func (g *Guard) Close() error {
	if g == nil {
		return nil
	}
	return g.audit.Close()
}

// Serve is endpoint.Serve of h behind the guard.
func (g *Guard) Serve(ctx context.Context, l net.Listener, h http.Handler, grace time.Duration) error {
	if g == nil {
		return endpoint.Serve(ctx, l, endpoint.NewServer(h), grace)
	}
	srv := endpoint.NewServer(g.protect(h))
	srv.ErrorLog = log.New(handshakes{g.audit}, "", 0)
	return endpoint.Serve(ctx, tls.NewListener(l, g.identity.serverTLS()), srv, grace)
}

// protect answers 403 to who may not call, and 401 without a good token.
func (g *Guard) protect(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		now, me := time.Now(), g.identity.now()
		cert := r.TLS.PeerCertificates[0]
		caller, err := componentOf(cert)
		if err != nil || !allowed(caller, me.component) {
			g.refuse(w, r, http.StatusForbidden, caller, caller+" may not call "+me.component)
			return
		}
		signed, err := me.checkToken(r.Header.Get(TokenField), now, &g.seen)
		switch {
		case errors.Is(err, errTooMany):
			g.refuse(w, r, http.StatusServiceUnavailable, caller, err.Error())
			return
		case err == nil && signed != caller:
			err = errServiceToken
		}
		if err != nil {
			g.refuse(w, r, http.StatusUnauthorized, caller, err.Error())
			return
		}
		delete(r.Header, TokenField)
		if now.After(cert.NotAfter) {
			// Its owner has a new one by now, and shows it on the next connection.
			w.Header().Set("Connection", "close")
		}
		h.ServeHTTP(w, r)
	})
}

func (g *Guard) refuse(w http.ResponseWriter, r *http.Request, status int, caller, detail string) {
	g.audit.Refused(r.Context(), telemetry.Refusal{
		Reason: "service", Status: status, Client: r.RemoteAddr, Subject: caller, Method: r.Method, Path: r.URL.Path, Detail: detail,
	})
	endpoint.NewProblem(status, "service", detail).Write(w)
}

// handshakes puts on record who did not get so far as to send a request.
type handshakes struct{ audit *telemetry.Audit }

func (h handshakes) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	if rest, ok := strings.CutPrefix(text, "http: TLS handshake error from "); ok {
		client, why, _ := strings.Cut(rest, ": ")
		h.audit.Refused(context.Background(), telemetry.Refusal{Reason: "handshake", Client: client, Detail: why})
	}
	return len(line), nil
}

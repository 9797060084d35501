package gateway

import (
	"errors"
	"net/http"
	"strings"

	"github.com/ordbench/ordbench/system/lever"
	"github.com/ordbench/ordbench/system/pki"
)

// authenticate asks a request for its bearer token. Why a token is refused is
// told in the words of RFC 6750, section 3.
func (g *gateway) authenticate(w http.ResponseWriter, r *http.Request) (pki.Caller, *rejection) {
	if g.bearer == nil {
		return pki.Caller{}, nil
	}
	const realm = `Bearer realm="ordbench"`
	var token string
	fields := r.Header["Authorization"]
	if len(fields) == 1 {
		scheme, rest, _ := strings.Cut(fields[0], " ")
		if strings.EqualFold(scheme, "Bearer") {
			token = strings.TrimSpace(rest)
		}
	}
	if token == "" {
		w.Header()["Www-Authenticate"] = []string{realm}
		return pki.Caller{}, &rejection{
			status: http.StatusUnauthorized, name: "token", detail: "a bearer token is needed: Authorization: Bearer TOKEN",
		}
	}
	caller, err := g.bearer.Verify(r.Context(), token, lever.Now())
	if errors.Is(err, pki.ErrNoKeys) {
		return pki.Caller{}, &rejection{http.StatusServiceUnavailable, "keys", pki.ErrNoKeys.Error(), err.Error()}
	}
	if err != nil {
		reason := publicReason(err)
		w.Header()["Www-Authenticate"] = []string{realm + `, error="invalid_token", error_description="` + reason + `"`}
		return pki.Caller{}, &rejection{http.StatusUnauthorized, "token", reason, err.Error()}
	}
	return caller, nil
}

// publicReason is what the bearer of a refused token may know.
func publicReason(err error) string {
	for _, known := range []error{pki.ErrTokenExpired, pki.ErrTokenEarly, pki.ErrTokenForeign, pki.ErrTokenForged} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return pki.ErrTokenShape.Error()
}

package gateway

import (
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/ordbench/ordbench/system/endpoint"
	"github.com/ordbench/ordbench/system/pki"
)

// idempotencyKey is spelt in lower case on the way to a service: net/http
// would repeat a POST that carries "Idempotency-Key" by itself, even after it
// was sent, and repeating is not for the gateway to decide.
const idempotencyKey = "idempotency-key"

// header makes the header that is sent on: the client's own fields without
// those that belong to its connection, and the way it came. What an untrusted
// peer claims about that way is dropped.
func (g *gateway) header(w http.ResponseWriter, r *http.Request, peer netip.Addr, caller pki.Caller) (http.Header, *rejection) {
	h := make(http.Header, len(r.Header)+2)
	for k, v := range r.Header {
		h[k] = v
	}
	dropConnectionFields(h)
	via := peer.String()
	if g.proxies.trust(peer) {
		for i := len(r.Header["X-Forwarded-For"]) - 1; i >= 0; i-- {
			via = r.Header["X-Forwarded-For"][i] + ", " + via
		}
	} else {
		for _, claim := range []string{"Forwarded", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "Traceparent", "Tracestate"} {
			delete(h, claim)
		}
	}
	h["X-Forwarded-For"] = []string{via}
	// The token stays here: services have no use for it, and nobody should
	// find one there. They are told for whom the request speaks.
	delete(h, "Authorization")
	delete(h, endpoint.SubjectField)
	delete(h, pki.TokenField)
	if caller.Subject != "" && !caller.Storefront {
		h[endpoint.SubjectField] = []string{caller.Subject}
	}
	if r.Method != http.MethodPost {
		return h, nil
	}
	keys := h["Idempotency-Key"]
	delete(h, "Idempotency-Key")
	switch {
	case len(keys) > 1:
		return nil, &rejection{status: http.StatusBadRequest, name: "idempotency-key", detail: "more than one Idempotency-Key"}
	case len(keys) == 0:
		id, err := uuid.NewV7()
		if err != nil {
			return nil, &rejection{status: http.StatusInternalServerError, name: "random", detail: "no random numbers"}
		}
		keys = []string{id.String()}
	}
	h[idempotencyKey] = keys
	// Told even to a client that sent none: with it, it can repeat a
	// request whose outcome is unknown.
	w.Header()["Idempotency-Key"] = keys
	return h, nil
}

// pass gives the client the answer of a service.
func pass(w http.ResponseWriter, r *http.Request, a answer) {
	dropConnectionFields(a.header)
	h := w.Header()
	for k, v := range a.header {
		h[k] = v
	}
	if r.Method != http.MethodHead && bodyAllowed(a.status) {
		h["Content-Length"] = []string{strconv.Itoa(len(a.body))}
	}
	w.WriteHeader(a.status)
	if len(a.body) > 0 {
		_, _ = w.Write(a.body) // a client that went away needs no answer
	}
}

func bodyAllowed(status int) bool {
	return status != http.StatusNoContent && status != http.StatusNotModified
}

// dropConnectionFields deletes what belongs to one connection, RFC 9110
// section 7.6.1, and what this end of it decides by itself.
func dropConnectionFields(h http.Header) {
	for _, list := range h["Connection"] {
		for name := range strings.SplitSeq(list, ",") {
			delete(h, http.CanonicalHeaderKey(strings.TrimSpace(name)))
		}
	}
	for _, name := range []string{
		"Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization",
		"Te", "Trailer", "Transfer-Encoding", "Upgrade", "Expect", "Content-Length",
	} {
		delete(h, name)
	}
}

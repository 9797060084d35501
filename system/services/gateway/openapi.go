package gateway

import (
	_ "embed"
	"net/http"
	"strconv"
)

// document describes the API. A test holds it against real answers.
//
//go:embed openapi.json
var document []byte

func describe(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(document)))
	_, _ = w.Write(document) // a client that went away needs no answer
}

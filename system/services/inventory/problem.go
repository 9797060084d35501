package inventory

import (
	"encoding/json"
	"net/http"
)

// problem is an error for people and programs, after RFC 9457.
type problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
}

// write answers with p.
func (p problem) write(w http.ResponseWriter) {
	p.Title = http.StatusText(p.Status)
	respond(w, p.Status, "application/problem+json", p)
}

// respond answers with body as JSON.
func respond(w http.ResponseWriter, status int, contentType string, body any) {
	b, err := json.Marshal(body)
	if err != nil { // only of types of ours: a fault of ours
		http.Error(w, "answer cannot be written", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	w.Write(append(b, '\n'))
}

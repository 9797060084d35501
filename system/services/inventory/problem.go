package inventory

import (
	"encoding/json"
	"net/http"
)

// problem is an error for people and programs, after RFC 9457. Type is a name
// within this system, so that programs need not read the rest.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
}

func newProblem(status int, name, detail string) problem {
	return problem{Type: "urn:ordbench:problem:" + name, Title: http.StatusText(status), Status: status, Detail: detail}
}

func (p problem) write(w http.ResponseWriter) {
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

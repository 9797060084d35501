package endpoint

import (
	"encoding/json"
	"net/http"
)

// Problem is an error for people and programs, after RFC 9457. Type is a name
// within this system, so that programs need not read the rest.
type Problem struct {
	Type   string   `json:"type"`
	Title  string   `json:"title"`
	Status int      `json:"status"`
	Detail string   `json:"detail,omitempty"`
	Errors []string `json:"errors,omitempty"` // each thing that is wrong with the request
}

// NewProblem names what is wrong in a word for programs, and says it in
// detail for people.
func NewProblem(status int, name, detail string) Problem {
	return Problem{Type: "urn:ordbench:problem:" + name, Title: http.StatusText(status), Status: status, Detail: detail}
}

// Write answers with p. Nobody may keep the answer: the next one may be well.
func (p Problem) Write(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-store")
	answer(w, p.Status, "application/problem+json", p)
}

// OnlyAllow answers that a path takes no other methods than these, "GET, HEAD".
func OnlyAllow(methods string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", methods)
		NewProblem(http.StatusMethodNotAllowed, "method", r.Method+" is not one of "+methods).Write(w)
	}
}

// WriteJSON answers with body.
func WriteJSON(w http.ResponseWriter, status int, body any) {
	answer(w, status, "application/json", body)
}

func answer(w http.ResponseWriter, status int, contentType string, body any) {
	b, err := json.Marshal(body)
	if err != nil { // only of types of ours: a fault of ours
		http.Error(w, "answer cannot be written", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // a client that went away needs no answer
}

package endpoint

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestAnswers(t *testing.T) {
	several := NewProblem(http.StatusBadRequest, "invalid", "")
	several.Errors = []string{"user_id is missing", "total is negative"}
	for name, row := range map[string]struct {
		write  func(http.ResponseWriter)
		status int
		header map[string]string
		body   string
	}{
		"a problem says its name and its reason": {
			NewProblem(503, "breaker", "the order service is failing").Write, 503,
			map[string]string{"Content-Type": "application/problem+json", "Cache-Control": "no-store"},
			`{"type":"urn:ordbench:problem:breaker","title":"Service Unavailable","status":503,"detail":"the order service is failing"}`,
		},
		"a problem may list everything that is wrong": {
			several.Write, 400,
			map[string]string{"Content-Type": "application/problem+json", "Cache-Control": "no-store"},
			`{"type":"urn:ordbench:problem:invalid","title":"Bad Request","status":400,"errors":["user_id is missing","total is negative"]}`,
		},
		"another method is told which ones there are": {
			func(w http.ResponseWriter) { OnlyAllow("GET, HEAD")(w, httptest.NewRequest("POST", "/stock/x", nil)) }, 405,
			map[string]string{"Content-Type": "application/problem+json", "Allow": "GET, HEAD"},
			`{"type":"urn:ordbench:problem:method","title":"Method Not Allowed","status":405,"detail":"POST is not one of GET, HEAD"}`,
		},
		"an answer is JSON": {
			func(w http.ResponseWriter) { WriteJSON(w, 202, map[string]int{"n": 1}) }, 202,
			map[string]string{"Content-Type": "application/json", "Cache-Control": ""},
			`{"n":1}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			row.write(w)
			if w.Code != row.status || w.Body.String() != row.body+"\n" {
				t.Errorf("answer %d %s, want %d %s", w.Code, w.Body, row.status, row.body)
			}
			for field, want := range row.header {
				if got := w.Header().Get(field); got != want {
					t.Errorf("%s: %q, want %q", field, got, want)
				}
			}
		})
	}
}

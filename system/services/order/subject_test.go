package order

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ordbench/ordbench/system/endpoint"
)

func TestACustomerOrdersAndSeesForHimselfOnly(t *testing.T) {
	a, h := newAPI(t, nil)
	ask := func(method, path, key, subject, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.Header.Set("Idempotency-Key", key)
		if subject != "" {
			r.Header.Set(endpoint.SubjectField, subject)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	placed := read[accepted](t, ask("POST", "/orders", "k1", "u123", anOrder))
	for _, row := range []struct {
		name, method, path, subject string
		status                      int
	}{
		{"his own order", "GET", "/orders/" + placed.ID, "u123", 200},
		{"another's order", "GET", "/orders/" + placed.ID, "u9", 404},
		{"any order, for who speaks for all", "GET", "/orders/" + placed.ID, "", 200},
		{"an order for another", "POST", "/orders", "u9", 403},
		{"an order for anybody, from who speaks for all", "POST", "/orders", "", 202},
	} {
		if w := ask(row.method, row.path, row.name, row.subject, anOrder); w.Code != row.status {
			t.Errorf("%s: %d %s, want %d", row.name, w.Code, w.Body, row.status)
		}
	}
	if n := count(t, a, "SELECT count(*) FROM orders"); n != 2 {
		t.Errorf("%d orders, want 2", n)
	}
	if w := ask("POST", "/orders", "k1", "u9", anOrder); w.Code != http.StatusForbidden {
		t.Errorf("another's key with another's order: %d, want 403", w.Code)
	}
}

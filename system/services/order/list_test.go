package order

import (
	"fmt"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/ordbench/ordbench/system/endpoint"
)

// Orders that are placed while a customer turns the pages are in front of
// them, and move nothing.
func TestACustomersOrdersAreListedPageByPage(t *testing.T) {
	_, h := newAPI(t, nil)
	ask := func(method, path, key, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.Header.Set("Idempotency-Key", key)
		r.Header.Set(endpoint.SubjectField, "u123")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	var want []string // the newest first
	place := func(n int) {
		placed := read[accepted](t, ask("POST", "/orders", fmt.Sprint("key-", n), `{"user_id":"u123","total":1}`))
		want = append([]string{placed.ID}, want...)
	}
	for n := range 7 {
		place(n)
	}
	var got []string
	cursor, pages := "", 0
	for {
		p := read[page](t, ask("GET", "/orders?user_id=u123&limit=3&cursor="+url.QueryEscape(cursor), "", ""))
		for _, o := range p.Orders {
			got = append(got, o.ID)
		}
		if cursor = p.Next; cursor == "" {
			break
		}
		if pages++; pages == 1 {
			place(100)
			want = want[1:]
		}
	}
	if strings.Join(got, " ") != strings.Join(want, " ") || pages != 2 {
		t.Errorf("%d pages with a next one have %q, want %q", pages, got, want)
	}
	if w := ask("GET", "/orders?user_id=u9", "", ""); w.Code != 403 {
		t.Errorf("another's orders: %d, want 403", w.Code)
	}
}

func FuzzReadQuery(f *testing.F) {
	f.Add("user_id=u&limit=3&cursor=bm90IGFuIG9yZGVy")
	f.Fuzz(func(t *testing.T, text string) {
		values, err := url.ParseQuery(text)
		if err != nil {
			return
		}
		q, err := readQuery(values)
		if err == nil && (q.userID == "" || q.limit < 1 || q.limit > longestPage || q.before != "" && len(q.before) < 32) {
			t.Errorf("%q gave %+v", text, q)
		}
	})
}

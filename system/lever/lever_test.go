package lever

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestALeverGoesBackWhenItsLeaseIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []bool
		l := New("x", func(s *Setting) { told = append(told, s != nil) })
		set := func() bool {
			_, fresh, err := l.Set(map[string]string{"delay": "5ms"}, time.Second)
			if err != nil {
				t.Fatal(err)
			}
			return fresh
		}
		if !set() {
			t.Error("the first setting is not fresh")
		}
		time.Sleep(900 * time.Millisecond)
		if set() {
			t.Error("a renewal is a new setting")
		}
		time.Sleep(900 * time.Millisecond)
		if l.Now() == nil {
			t.Error("a renewed lease ran out")
		}
		time.Sleep(200 * time.Millisecond)
		synctest.Wait()
		if l.Now() != nil {
			t.Error("it stands without a lease")
		}
		if len(told) != 2 || !told[0] || told[1] {
			t.Errorf("told %v", told)
		}
	})
}

func TestALeverCountsWhatItDoes(t *testing.T) {
	l := New("x", nil)
	if l.Acts() != nil {
		t.Error("it acts without being set")
	}
	if _, _, err := l.Set(map[string]string{"share": "0.5"}, time.Minute); err != nil {
		t.Fatal(err)
	}
	acted := 0
	for range 1000 {
		if l.Acts() != nil {
			acted++
		}
	}
	counted, _, _ := l.Set(map[string]string{"share": "0.5"}, time.Minute)
	if acted < 400 || acted > 600 || counted != int64(acted) {
		t.Errorf("acted %d times in 1000 at a share of a half, counted %d", acted, counted)
	}
	if n := l.Release(); n != int64(acted) {
		t.Errorf("acted %d times, released with %d", acted, n)
	}
	if l.Acts() != nil {
		t.Error("it acts after its release")
	}
}

func TestTheEndpointSetsAndReleases(t *testing.T) {
	own := New("own", nil)
	h := Handler(own)
	do := func(method, path, body string) (int, string) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
		return w.Code, w.Body.String()
	}
	code, body := do(http.MethodPut, "/levers/own", `{"values":{"delay":"1ms"},"lease_ms":60000}`)
	var s State
	if code != http.StatusOK || json.Unmarshal([]byte(body), &s) != nil || !s.Fresh {
		t.Errorf("%d %s", code, body)
	}
	for _, row := range [][3]string{
		{"/levers/nothing", `{"values":{},"lease_ms":1000}`, "no lever \"nothing\" here: there are clock"},
		{"/levers/own", `{"values":{"dely":"1ms"},"lease_ms":1000}`, `unknown value "dely"`},
		{"/levers/own", `{"values":{"delay":"soon"},"lease_ms":1000}`, "delay: "},
		{"/levers/own", `{"values":{"share":"2"},"lease_ms":1000}`, "2 is no share"},
		{"/levers/own", `{"values":{},"lease_ms":0}`, "lease_ms"},
		{"/levers/own", `{`, "unexpected EOF"},
	} {
		if code, body := do(http.MethodPut, row[0], row[1]); code < 400 || !strings.Contains(body, row[2]) {
			t.Errorf("PUT %s %s: %d %s, want %q", row[0], row[1], code, body, row[2])
		}
	}
	own.Acts()
	code, body = do(http.MethodDelete, "/levers/own", "")
	if code != http.StatusOK || json.Unmarshal([]byte(body), &s) != nil || s.Acted != 1 || own.Now() != nil {
		t.Errorf("DELETE: %d %s, %v", code, body, own.Now())
	}
}

func FuzzParse(f *testing.F) {
	f.Add("share", "0.5", "delay", "5ms")
	f.Add("bytes", "-1", "cores", "NaN")
	f.Fuzz(func(t *testing.T, k1, v1, k2, v2 string) {
		s, err := parse(map[string]string{k1: v1, k2: v2})
		if err == nil && !(s.Share > 0 && s.Share <= 1) {
			t.Errorf("a share of %g", s.Share)
		}
	})
}

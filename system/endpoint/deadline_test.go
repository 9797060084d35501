package endpoint

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func TestServiceKnowsHowLongIsWaitedForIt(t *testing.T) {
	for _, row := range []struct {
		name, field string
		bounded     bool
	}{
		{"a second and a half", "1500", true},
		{"no time at all", "0", true},
		{"no word", "", false},
		{"nonsense", "soon", false},
		{"less than nothing", "-1", false},
		{"for ever", "99999999999999999999", false},
		{"a year", "31536000000", false},
	} {
		var left time.Duration
		var bounded bool
		h := Deadline(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			var deadline time.Time
			deadline, bounded = r.Context().Deadline()
			left = time.Until(deadline)
		}))
		r := httptest.NewRequest("GET", "/", nil)
		if row.field != "" {
			r.Header.Set(TimeoutField, row.field)
		}
		h.ServeHTTP(httptest.NewRecorder(), r)
		if bounded != row.bounded || bounded && left > 1500*time.Millisecond {
			t.Errorf("%s: bounded %v, %s left", row.name, bounded, left)
		}
	}
}

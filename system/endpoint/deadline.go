package endpoint

import (
	"context"
	"net/http"
	"strconv"
	"time"
)

// TimeoutField tells a service how many milliseconds the one who asks will
// still wait. What nobody waits for any more need not be begun.
const TimeoutField = "X-Timeout-Ms"

// longestTimeout bounds what anybody may ask for.
const longestTimeout = time.Hour

// Timeout reads TimeoutField; false: there is none, or it is no number.
func Timeout(r *http.Request) (time.Duration, bool) {
	field := r.Header[TimeoutField]
	if len(field) != 1 {
		return 0, false
	}
	ms, err := strconv.ParseInt(field[0], 10, 64)
	if err != nil || ms < 0 || ms > longestTimeout.Milliseconds() {
		return 0, false
	}
	return time.Duration(ms) * time.Millisecond, true
}

// Deadline ends the context of a request when its sender stops waiting.
func Deadline(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		timeout, ok := Timeout(r)
		if !ok {
			h.ServeHTTP(w, r)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), timeout)
		defer cancel()
		h.ServeHTTP(w, r.WithContext(ctx))
	})
}

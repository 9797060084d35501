package gateway

import (
	"net/http"
	"strconv"
	"time"

	"github.com/ordbench/ordbench/system/endpoint"
)

// refusedBy marks an answer whose request was certainly not processed.
const refusedBy = "X-Refused-By"

// The values of refusedBy.
const (
	byRateLimit   = "rate-limit"
	byBreaker     = "breaker"
	byUnreachable = "unreachable"
)

// refuse answers a request that was certainly not processed. The problem has
// the name of who refused it.
func (g *gateway) refuse(w http.ResponseWriter, status int, by string, retry time.Duration, detail string) {
	g.metrics.refused.WithLabelValues(by).Inc()
	h := w.Header()
	h[refusedBy] = []string{by}
	h["Retry-After"] = []string{seconds(retry)}
	endpoint.NewProblem(status, by, detail).Write(w)
}

// seconds rounds up, at least to 1: a client that comes back too early is
// only refused again.
func seconds(d time.Duration) string {
	return strconv.FormatInt(max(1, int64((d+time.Second-1)/time.Second)), 10)
}

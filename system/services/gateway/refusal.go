package gateway

import (
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/ordbench/ordbench/system/endpoint"
	"github.com/ordbench/ordbench/system/telemetry"
)

// rejection is an answer that the client alone is to blame for.
type rejection struct {
	status       int
	name, detail string
	cause        string // for the record, where it is more than the client may know
}

// reject answers with no, and has it on record.
func (g *gateway) reject(w http.ResponseWriter, r *http.Request, client netip.Addr, subject string, no *rejection) {
	g.metrics.rejected.WithLabelValues(no.name).Inc()
	detail := no.detail
	if no.cause != "" {
		detail = no.cause
	}
	g.audit.Refused(r.Context(), telemetry.Refusal{
		Reason: no.name, Status: no.status, Client: client.String(), Subject: subject,
		Method: r.Method, Path: r.URL.Path, Detail: detail,
	})
	endpoint.NewProblem(no.status, no.name, no.detail).Write(w)
}

// refusedBy marks an answer whose request was certainly not processed.
const refusedBy = "X-Refused-By"

// The values of refusedBy.
const (
	byRateLimit   = "rate-limit"
	byShedding    = "shedding"
	byBulkhead    = "bulkhead"
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

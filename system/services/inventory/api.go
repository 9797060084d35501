package inventory

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/ordbench/ordbench/system/direct"
	"github.com/ordbench/ordbench/system/endpoint"
	"github.com/ordbench/ordbench/system/telemetry"
)

// api answers HTTP:
//
//	GET /stock/{sku}  200 with what is held of one article
//	POST /events      200 with what came of an event, where services call each other
//
// and, where orders are committed in two phases, what direct.Participant says.
// Whatever is not well is problem+json.
type api struct {
	stock *stock
	desk  *desk              // nil: events come by the broker
	part  direct.Participant // nil: there are no transactions over several services
	log   *slog.Logger
}

// handler routes requests and counts them.
func (a *api) handler(requests *telemetry.Requests) http.Handler {
	mux := http.NewServeMux()
	route := func(pattern string, h http.HandlerFunc) {
		mux.Handle(pattern, requests.Route(pattern, h))
	}
	route("GET /stock/{sku}", a.find)
	route("/stock/{sku}", endpoint.OnlyAllow("GET, HEAD"))
	if a.desk != nil {
		route("POST "+direct.Path, direct.Handler(a.desk.handle, a.log))
	}
	if a.part != nil {
		direct.Serve(a.part, route, a.log)
	}
	route("/", func(w http.ResponseWriter, _ *http.Request) {
		endpoint.NewProblem(http.StatusNotFound, "not-found", "there is GET /stock/{sku}").Write(w)
	})
	return mux
}

func (a *api) find(w http.ResponseWriter, r *http.Request) {
	found, err := a.stock.find(r.Context(), r.PathValue("sku"))
	switch {
	case err == nil:
		w.Header().Set("Cache-Control", "no-store")
		endpoint.WriteJSON(w, http.StatusOK, found)
	case errors.Is(err, errNoSuchSKU):
		endpoint.NewProblem(http.StatusNotFound, "not-found", err.Error()).Write(w)
	case errors.Is(err, context.DeadlineExceeded):
		w.Header().Set("X-Refused-By", "deadline")
		endpoint.NewProblem(http.StatusServiceUnavailable, "deadline", "there was no time left to answer").Write(w)
	case errors.Is(err, context.Canceled):
		endpoint.HangUp()
	default:
		a.log.ErrorContext(r.Context(), "request failed", "method", r.Method, "path", r.URL.Path, "error", err)
		endpoint.NewProblem(http.StatusInternalServerError, "database", "the inventory database does not answer").Write(w)
	}
}

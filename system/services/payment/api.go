package payment

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
//	GET /payments/{order}  200 with what was decided about an order's money
//	POST /events           200 with what came of an event, where services call each other
//
// and, where orders are committed in two phases, what direct.Participant says.
// Whatever is not well is problem+json.
type api struct {
	ledger *ledger
	desk   *desk              // nil: events come by the broker
	part   direct.Participant // nil: there are no transactions over several services
	log    *slog.Logger
}

// view is the body of a 200. There is one payment; a second one is what the
// inbox is there to prevent.
type view struct {
	OrderID  string    `json:"order_id"`
	Payments []payment `json:"payments"`
}

// handler routes requests and counts them.
func (a *api) handler(requests *telemetry.Requests) http.Handler {
	mux := http.NewServeMux()
	route := func(pattern string, h http.HandlerFunc) {
		mux.Handle(pattern, requests.Route(pattern, h))
	}
	route("GET /payments/{order}", a.find)
	route("/payments/{order}", endpoint.OnlyAllow("GET, HEAD"))
	if a.desk != nil {
		route("POST "+direct.Path, direct.Handler(a.desk.handle, a.log))
	}
	if a.part != nil {
		direct.Serve(a.part, route, a.log)
	}
	route("/", func(w http.ResponseWriter, _ *http.Request) {
		endpoint.NewProblem(http.StatusNotFound, "not-found", "there is GET /payments/{order}").Write(w)
	})
	return mux
}

func (a *api) find(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("order")
	found, err := a.ledger.find(r.Context(), id)
	switch {
	case err == nil && len(found) == 0:
		endpoint.NewProblem(http.StatusNotFound, "not-found", "no payment of this order was decided about").Write(w)
	case err == nil:
		w.Header().Set("Cache-Control", "no-store")
		endpoint.WriteJSON(w, http.StatusOK, view{OrderID: id, Payments: found})
	case errors.Is(err, context.Canceled):
		endpoint.HangUp()
	default:
		a.log.ErrorContext(r.Context(), "request failed", "method", r.Method, "path", r.URL.Path, "error", err)
		endpoint.NewProblem(http.StatusInternalServerError, "database", "the payment database does not answer").Write(w)
	}
}

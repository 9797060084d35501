package notification

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
//	GET /notifications/{order}  200 with what a customer was told of an order
//	POST /events                204 once a customer is told, where services call each other
//
// Whatever is not well is problem+json.
type api struct {
	mailbox *mailbox
	direct  bool // events come by HTTP
	log     *slog.Logger
}

// view is the body of a 200.
type view struct {
	OrderID       string         `json:"order_id"`
	Notifications []notification `json:"notifications"`
}

// handler routes requests and counts them.
func (a *api) handler(requests *telemetry.Requests) http.Handler {
	mux := http.NewServeMux()
	route := func(pattern string, h http.HandlerFunc) {
		mux.Handle(pattern, requests.Route(pattern, h))
	}
	route("GET /notifications/{order}", a.find)
	route("/notifications/{order}", endpoint.OnlyAllow("GET, HEAD"))
	if a.direct {
		route("POST "+direct.Path, direct.Handler(a.mailbox.handle, a.log))
	}
	route("/", func(w http.ResponseWriter, _ *http.Request) {
		endpoint.NewProblem(http.StatusNotFound, "not-found", "there is GET /notifications/{order}").Write(w)
	})
	return mux
}

func (a *api) find(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("order")
	found, err := a.mailbox.find(r.Context(), id)
	switch {
	case err == nil && len(found) == 0:
		endpoint.NewProblem(http.StatusNotFound, "not-found", "nobody was told of this order").Write(w)
	case err == nil:
		w.Header().Set("Cache-Control", "no-store")
		endpoint.WriteJSON(w, http.StatusOK, view{OrderID: id, Notifications: found})
	case errors.Is(err, context.Canceled):
		endpoint.HangUp()
	default:
		a.log.ErrorContext(r.Context(), "request failed", "method", r.Method, "path", r.URL.Path, "error", err)
		endpoint.NewProblem(http.StatusInternalServerError, "database", "the notification database does not answer").Write(w)
	}
}

package order

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"

	"github.com/ordbench/ordbench/system/endpoint"
	"github.com/ordbench/ordbench/system/lever"
	"github.com/ordbench/ordbench/system/store"
	"github.com/ordbench/ordbench/system/telemetry"
)

// api answers HTTP:
//
//	POST /orders       202 with order_id and Location; needs an Idempotency-Key:
//	                   known, the same answer again, or 422 if it stands for
//	                   another order; 409 while its first request is in flight
//	POST /orders/{id}/cancel  202, and its money and stock come back; 409 if it
//	                   was rejected
//	GET  /orders/{id}  200 with the order
//	GET  /orders       200 with a customer's orders, a page at a time: user_id, cursor, limit
//
// Whatever is not well is problem+json. A 202 is given only once the order
// is on disk.
type api struct {
	book    *book
	publish func(store.Message) // sends an event that is in no outbox; nil with the outbox on
	inline  inline              // brings an order to its end before it is answered; nil: events do
	metrics *metrics
	log     *slog.Logger
}

// handler routes requests and counts them.
func (a *api) handler(requests *telemetry.Requests) http.Handler {
	mux := http.NewServeMux()
	route := func(pattern string, h http.HandlerFunc) {
		mux.Handle(pattern, requests.Route(pattern, h))
	}
	route("POST /orders", a.place)
	route("GET /orders", a.list)
	route("GET /orders/{id}", a.find)
	route("/orders", endpoint.OnlyAllow("GET, HEAD, POST"))
	cancel := a.cancel
	if a.inline != nil { // in line nobody would give the money back
		cancel = func(w http.ResponseWriter, _ *http.Request) {
			endpoint.NewProblem(http.StatusNotFound, "no-cancelling", "orders cannot be cancelled where services call each other in line").Write(w)
		}
	}
	route("POST /orders/{id}/cancel", cancel)
	route("/orders/{id}/cancel", endpoint.OnlyAllow("POST"))
	route("/orders/{id}", endpoint.OnlyAllow("GET, HEAD"))
	route("/", func(w http.ResponseWriter, _ *http.Request) {
		endpoint.NewProblem(http.StatusNotFound, "not-found", "there are POST /orders, GET /orders/{id} and POST /orders/{id}/cancel").Write(w)
	})
	return mux
}

// accepted is the body of a 202. A replay has the very same one.
type accepted struct {
	ID     string `json:"order_id"`
	Status Status `json:"status"`
}

func (a *api) place(w http.ResponseWriter, r *http.Request) {
	key := r.Header.Get("Idempotency-Key")
	if err := checkKey(key); err != nil {
		a.refuse(w, r, err)
		return
	}
	req, err := receive(w, r)
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	if !endpoint.MayActFor(r, req.userID) {
		a.refuse(w, r, errNotYours)
		return
	}
	release, err := a.book.claim(key)
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	defer release()
	placed, err := a.book.place(r.Context(), req, key, lever.Now())
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	telemetry.Annotate(r.Context(), placed.id, placed.replayed)
	if placed.replayed {
		a.metrics.replayed.Inc()
		w.Header().Set("Idempotency-Replayed", "true")
		if a.inline != nil && placed.status != Pending { // as at first: with its end
			w.Header().Set("Location", "/orders/"+placed.id)
			endpoint.WriteJSON(w, http.StatusCreated, accepted{ID: placed.id, Status: placed.status})
			return
		}
	} else {
		a.metrics.placed.Inc()
		if a.publish != nil {
			a.publish(placed.event)
		}
		if a.inline != nil {
			a.finish(w, r, placed)
			return
		}
	}
	w.Header().Set("Location", "/orders/"+placed.id)
	endpoint.WriteJSON(w, http.StatusAccepted, accepted{ID: placed.id, Status: Pending})
}

// receive reads the order out of a request.
func receive(w http.ResponseWriter, r *http.Request) (request, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return request{}, err
	case err != nil: // the client broke off
		return request{}, badRequest{"body: " + err.Error()}
	}
	return decode(body)
}

func (a *api) find(w http.ResponseWriter, r *http.Request) {
	order, err := a.book.find(r.Context(), r.PathValue("id"))
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	if !endpoint.MayActFor(r, order.UserID) {
		a.refuse(w, r, errNoSuchOrder) // to say more would tell strangers which orders there are
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	endpoint.WriteJSON(w, http.StatusOK, order)
}

// refuse answers with what err means to the client.
func (a *api) refuse(w http.ResponseWriter, r *http.Request, err error) {
	var bad badRequest
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &bad):
		p := endpoint.NewProblem(http.StatusBadRequest, "invalid", "")
		p.Errors = bad
		p.Write(w)
	case errors.As(err, &large):
		endpoint.NewProblem(http.StatusRequestEntityTooLarge, "too-large", err.Error()).Write(w)
	case errors.Is(err, errOtherPayload):
		endpoint.NewProblem(http.StatusUnprocessableEntity, "idempotency-key", errOtherPayload.Error()).Write(w)
	case errors.Is(err, errInFlight):
		// Not X-Refused-By: the request in flight may make the order.
		a.metrics.inFlight.Inc()
		w.Header().Set("Retry-After", "1")
		endpoint.NewProblem(http.StatusConflict, "in-flight", errInFlight.Error()).Write(w)
	case errors.Is(err, errTooLate):
		endpoint.NewProblem(http.StatusConflict, "too-late", errTooLate.Error()).Write(w)
	case errors.Is(err, errNotYours):
		endpoint.NewProblem(http.StatusForbidden, "not-yours", errNotYours.Error()).Write(w)
	case errors.Is(err, errNoSuchOrder):
		endpoint.NewProblem(http.StatusNotFound, "not-found", errNoSuchOrder.Error()).Write(w)
	case errors.Is(err, context.DeadlineExceeded):
		// The book gives up only what it has not begun.
		w.Header().Set("X-Refused-By", "deadline")
		endpoint.NewProblem(http.StatusServiceUnavailable, "deadline", "there was no time left to begin").Write(w)
	case errors.Is(err, context.Canceled):
		endpoint.HangUp()
	default:
		a.log.ErrorContext(r.Context(), "request failed", "method", r.Method, "path", r.URL.Path, "error", err)
		endpoint.NewProblem(http.StatusInternalServerError, "database", "the order database does not answer").Write(w)
	}
}

package direct

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"

	"github.com/ordbench/ordbench/system/endpoint"
	"github.com/ordbench/ordbench/system/events"
)

// maxEvent bounds an event, in bytes.
const maxEvent = 1 << 20

// ErrRepeated is what a service says to an event that it has handled before.
var ErrRepeated = errors.New("the event was handled before")

// Handler takes one event at a time from each caller and answers with what
// handle made of it, an encoded event, or nothing.
func Handler(handle func(context.Context, events.Event) (answer []byte, err error), log *slog.Logger) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		e, ok := receive(w, r)
		if !ok {
			return
		}
		// What has begun is done, whoever still listens.
		answer, err := handle(context.WithoutCancel(r.Context()), e)
		switch {
		case errors.Is(err, ErrRepeated):
			endpoint.NewProblem(http.StatusConflict, "repeated", err.Error()).Write(w)
		case err != nil:
			log.Error("event failed", "type", e.Type, "order_id", e.OrderID, "error", err)
			endpoint.NewProblem(http.StatusInternalServerError, "event", "the event could not be handled").Write(w)
		case answer == nil:
			w.WriteHeader(http.StatusNoContent)
		default:
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(answer) // who has gone away learns nothing
		}
	}
}

// receive reads the event of a request, or refuses it.
func receive(w http.ResponseWriter, r *http.Request) (e events.Event, ok bool) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxEvent))
	if err != nil {
		endpoint.NewProblem(http.StatusBadRequest, "invalid", "body: "+err.Error()).Write(w)
		return e, false
	}
	if e, err = events.Decode(body); err != nil {
		endpoint.NewProblem(http.StatusBadRequest, "invalid", err.Error()).Write(w)
		return e, false
	}
	return e, true
}

// Serve routes the requests of a coordinator to a participant.
func Serve(p Participant, route func(pattern string, h http.HandlerFunc), log *slog.Logger) {
	failed := func(w http.ResponseWriter, what, orderID string, err error) {
		log.Error("transaction failed", "step", what, "order_id", orderID, "error", err)
		endpoint.NewProblem(http.StatusInternalServerError, "transaction", "the transaction could not be brought forward").Write(w)
	}
	route("POST "+PreparePath, func(w http.ResponseWriter, r *http.Request) {
		order, ok := receive(w, r)
		if !ok {
			return
		}
		vote, err := p.Prepare(r.Context(), order)
		if err != nil {
			failed(w, "prepare", order.OrderID, err)
			return
		}
		endpoint.WriteJSON(w, http.StatusOK, vote)
	})
	end := func(what string, do func(context.Context, string) error) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			id := r.PathValue("order")
			if err := do(context.WithoutCancel(r.Context()), id); err != nil {
				failed(w, what, id, err)
				return
			}
			w.WriteHeader(http.StatusNoContent)
		}
	}
	route("POST "+CommitPath, end("commit", p.Commit))
	route("POST "+AbortPath, end("abort", p.Abort))
	route("GET "+InDoubtPath, func(w http.ResponseWriter, r *http.Request) {
		found, err := p.InDoubt(r.Context())
		if err != nil {
			failed(w, "list", "", err)
			return
		}
		endpoint.WriteJSON(w, http.StatusOK, found)
	})
}

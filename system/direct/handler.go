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
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxEvent))
		if err != nil {
			endpoint.NewProblem(http.StatusBadRequest, "invalid", "body: "+err.Error()).Write(w)
			return
		}
		e, err := events.Decode(body)
		if err != nil {
			endpoint.NewProblem(http.StatusBadRequest, "invalid", err.Error()).Write(w)
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

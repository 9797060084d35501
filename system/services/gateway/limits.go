package gateway

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/ordbench/ordbench/system/resilience"
)

// limits bound what one request can make the gateway hold or wait for.
type limits struct {
	headerBytes  int           // of the request line and all fields; more is 431
	headers      int           // fields; more is 431
	bodyBytes    int64         // more is 413
	headerWithin time.Duration // from the first byte to the end of the header
	bodyWithin   time.Duration // from the first byte to the end of the body; longer is 408
	readWithin   time.Duration // for the client to take its answer
	idle         time.Duration // between two requests of one connection
	cacheWithin  time.Duration // for the cache to say whether the client has a share left
}

func defaultLimits() limits {
	return limits{
		headerBytes:  16 << 10,
		headers:      100,
		bodyBytes:    64 << 10,
		headerWithin: 5 * time.Second,
		bodyWithin:   10 * time.Second,
		readWithin:   10 * time.Second,
		idle:         2 * time.Minute,
		cacheWithin:  resilience.CachePatience,
	}
}

// readBody reads the whole body before anything is sent on, so that a slow or
// broken client costs no service a connection and leaves no doubt whether its
// request was processed.
func (l limits) readBody(w http.ResponseWriter, r *http.Request) ([]byte, *rejection) {
	if r.ContentLength == 0 {
		return nil, nil
	}
	tooLarge := r.ContentLength > l.bodyBytes
	if !tooLarge {
		body, err := l.takeBody(w, r)
		if err == nil {
			return body, nil
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, &rejection{status: http.StatusRequestTimeout, name: "slow", detail: fmt.Sprintf("the body did not arrive within %s", l.bodyWithin)}
		}
		var large *http.MaxBytesError
		tooLarge = errors.As(err, &large)
	}
	if tooLarge {
		return nil, &rejection{status: http.StatusRequestEntityTooLarge, name: "body", detail: fmt.Sprintf("the body is longer than %d bytes", l.bodyBytes)}
	}
	return nil, &rejection{status: http.StatusBadRequest, name: "body", detail: "the body ended early or is malformed"}
}

// takeBody reads a body that says that it is short enough, or says nothing.
func (l limits) takeBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.ContentLength < 0 {
		return io.ReadAll(http.MaxBytesReader(w, r.Body, l.bodyBytes))
	}
	body := make([]byte, r.ContentLength)
	_, err := io.ReadFull(r.Body, body)
	return body, err
}

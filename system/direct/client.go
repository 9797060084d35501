// Package direct is what services say to each other without a broker between
// them: one event goes in by HTTP, and what it led to comes back as the
// answer. Call Handler on the side that is asked and Client.Tell on the other.
// A transaction over several services is asked for in the same way: Serve a
// Participant on the one side, and Prepare, Commit and Abort it on the other.
//
// The invariant: Tell says for certain that an event had no effect only where
// that is so. All else that goes wrong is ErrUnknown.
package direct

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/ordbench/ordbench/system/events"
	"github.com/ordbench/ordbench/system/pki"
)

// Path is where a service takes events.
const Path = "/events"

// ErrUnknown is in the error of a call that may have had its effect.
var ErrUnknown = errors.New("the outcome of the call is not known")

// Client calls one service, whichever of its replicas is there.
type Client struct {
	service string
	addrs   []string
	timeout time.Duration
	me      *pki.Identity // nil: nobody asks who calls
	http    http.Client
	next    atomic.Uint64
}

// maxAnswer bounds an answer, in bytes.
const maxAnswer = 1 << 20

// NewClient calls service at addrs, host:port each, by turns, as me. wrap is put
// around the transport.
func NewClient(service string, addrs []string, timeout time.Duration, me *pki.Identity, wrap func(http.RoundTripper) http.RoundTripper) *Client {
	dial := me.Dialer(service, (&net.Dialer{Timeout: timeout}).DialContext)
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := dial(ctx, network, addr)
			if err != nil {
				return nil, &unreached{err}
			}
			return c, nil
		},
		MaxIdleConnsPerHost: 64,
		IdleConnTimeout:     time.Minute,
	}
	return &Client{service: service, addrs: addrs, timeout: timeout, me: me, http: http.Client{Transport: wrap(transport)}}
}

// unreached says that nobody was there to be told.
type unreached struct{ error }

func (u *unreached) Unwrap() error { return u.error }

// Tell tells the service of e and returns the event that it led to; the zero
// Event where it led to none. A replica that cannot be reached is passed over.
// Nothing else is tried again: that would be to do it twice.
func (c *Client) Tell(ctx context.Context, e events.Event) (events.Event, error) {
	body, err := e.Encode()
	if err != nil {
		return events.Event{}, fmt.Errorf("tell %s: %w", c.service, err)
	}
	status, text, err := c.ask(ctx, http.MethodPost, Path, body)
	switch {
	case err != nil:
		return events.Event{}, err
	case status == http.StatusNoContent:
		return events.Event{}, nil
	}
	answer, err := events.Decode(text)
	if err != nil {
		return events.Event{}, fmt.Errorf("tell %s: %w: %w", c.service, ErrUnknown, err)
	}
	return answer, nil
}

// ask puts one request to the service and returns the status, a 2xx, and the
// body of the answer.
func (c *Client) ask(ctx context.Context, method, path string, body []byte) (status int, text []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	first := c.next.Add(1)
	for i := range c.addrs {
		addr := c.addrs[(first+uint64(i))%uint64(len(c.addrs))]
		status, text, err = c.askOne(ctx, method, "http://"+addr+path, body)
		if !errors.As(err, new(*unreached)) {
			break
		}
	}
	if err != nil {
		return 0, nil, fmt.Errorf("tell %s: %w", c.service, err)
	}
	return status, text, nil
}

// refusedError is an answer that says that nothing was done.
type refusedError struct {
	status int
	text   string
}

func (e *refusedError) Error() string { return fmt.Sprintf("%d: %s", e.status, e.text) }

// Repeated tells of an error whether the service has handled it before.
func Repeated(err error) bool {
	var refused *refusedError
	return errors.As(err, &refused) && refused.status == http.StatusConflict
}

func (c *Client) askOne(ctx context.Context, method, url string, body []byte) (status int, text []byte, err error) {
	r, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	if token := c.me.Token(c.service, time.Now()); token != "" {
		r.Header.Set(pki.TokenField, token)
	}
	res, err := c.http.Do(r)
	if err != nil {
		if errors.As(err, new(*unreached)) {
			return 0, nil, err
		}
		return 0, nil, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	defer res.Body.Close()
	text, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	switch {
	case err != nil:
		return 0, nil, fmt.Errorf("%w: %w", ErrUnknown, err)
	case res.StatusCode/100 == 2:
		return res.StatusCode, text, nil
	case res.StatusCode < http.StatusInternalServerError:
		return 0, nil, &refusedError{res.StatusCode, string(text)}
	}
	return 0, nil, fmt.Errorf("%w: %s: %s", ErrUnknown, res.Status, text)
}

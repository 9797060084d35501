// Package direct is what services say to each other without a broker between
// them: one event goes in by HTTP, and what it led to comes back as the
// answer. Call Handler on the side that is asked and Client.Tell on the other.
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
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	first := c.next.Add(1)
	for i := range c.addrs {
		addr := c.addrs[(first+uint64(i))%uint64(len(c.addrs))]
		var answer events.Event
		if answer, err = c.tell(ctx, addr, body); !errors.As(err, new(*unreached)) {
			if err != nil {
				return answer, fmt.Errorf("tell %s: %w", c.service, err)
			}
			return answer, nil
		}
	}
	return events.Event{}, fmt.Errorf("tell %s: %w", c.service, err)
}

func (c *Client) tell(ctx context.Context, addr string, body []byte) (events.Event, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+Path, bytes.NewReader(body))
	if err != nil {
		return events.Event{}, err
	}
	r.Header.Set("Content-Type", "application/json")
	if token := c.me.Token(c.service, time.Now()); token != "" {
		r.Header.Set(pki.TokenField, token)
	}
	res, err := c.http.Do(r)
	if err != nil {
		if errors.As(err, new(*unreached)) {
			return events.Event{}, err
		}
		return events.Event{}, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	switch {
	case err != nil:
		return events.Event{}, fmt.Errorf("%w: %w", ErrUnknown, err)
	case res.StatusCode == http.StatusNoContent:
		return events.Event{}, nil
	case res.StatusCode == http.StatusOK:
		answer, err := events.Decode(text)
		if err != nil {
			return events.Event{}, fmt.Errorf("%w: %w", ErrUnknown, err)
		}
		return answer, nil
	case res.StatusCode < http.StatusInternalServerError:
		return events.Event{}, fmt.Errorf("%s: %s", res.Status, text)
	}
	return events.Event{}, fmt.Errorf("%w: %s: %s", ErrUnknown, res.Status, text)
}
